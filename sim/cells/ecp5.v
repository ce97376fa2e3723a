// SPDX-License-Identifier: Apache-2.0
//
// Behaviour of the ECP5 cells that Yosys leaves as black boxes, for two-state cycle simulation.
//
// Only what the flow emits is modelled. A parameter or a port outside of that stops the
// elaboration: no cell here reads silently as zero.

// 16 Kbit block RAM. True dual port at 1, 2, 4, 9 or 18 bits a port; pseudo dual port with port A
// writing and port B reading when one of them is 36 bits wide (the lower half is DIA or DOA).
//
//   address  width 1: AD[13:0], 2: AD[13:1], 4: AD[13:2], 9: AD[13:3], 18: AD[13:4], 36: AD[13:5]
//   enables  18: AD[1:0], 36: AD[3:0], one a 9-bit byte; narrower ports have none
//   contents word w of 18 bits is INITVAL_(w / 16)[20 * (w % 16) +: 18]; ports of 1, 2 and 4 bits
//            reach the lower 8 bits of each 9-bit byte
//   reset    clears the output only. SYNC: at the edge, whatever the clock enable, and stops a
//            write of that edge. ASYNC: at once
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC";
    parameter ASYNC_RESET_RELEASE = "SYNC";
    parameter [39:0] CSDECODE_A = "0b000";
    parameter [39:0] CSDECODE_B = "0b000";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter CLKAMUX = "CLKA";
    parameter CLKBMUX = "CLKB";
    parameter GSR = "ENABLED";
    parameter INIT_DATA = "STATIC";
    parameter [319:0] INITVAL_00 = 320'b0;
    parameter [319:0] INITVAL_01 = 320'b0;
    parameter [319:0] INITVAL_02 = 320'b0;
    parameter [319:0] INITVAL_03 = 320'b0;
    parameter [319:0] INITVAL_04 = 320'b0;
    parameter [319:0] INITVAL_05 = 320'b0;
    parameter [319:0] INITVAL_06 = 320'b0;
    parameter [319:0] INITVAL_07 = 320'b0;
    parameter [319:0] INITVAL_08 = 320'b0;
    parameter [319:0] INITVAL_09 = 320'b0;
    parameter [319:0] INITVAL_0A = 320'b0;
    parameter [319:0] INITVAL_0B = 320'b0;
    parameter [319:0] INITVAL_0C = 320'b0;
    parameter [319:0] INITVAL_0D = 320'b0;
    parameter [319:0] INITVAL_0E = 320'b0;
    parameter [319:0] INITVAL_0F = 320'b0;
    parameter [319:0] INITVAL_10 = 320'b0;
    parameter [319:0] INITVAL_11 = 320'b0;
    parameter [319:0] INITVAL_12 = 320'b0;
    parameter [319:0] INITVAL_13 = 320'b0;
    parameter [319:0] INITVAL_14 = 320'b0;
    parameter [319:0] INITVAL_15 = 320'b0;
    parameter [319:0] INITVAL_16 = 320'b0;
    parameter [319:0] INITVAL_17 = 320'b0;
    parameter [319:0] INITVAL_18 = 320'b0;
    parameter [319:0] INITVAL_19 = 320'b0;
    parameter [319:0] INITVAL_1A = 320'b0;
    parameter [319:0] INITVAL_1B = 320'b0;
    parameter [319:0] INITVAL_1C = 320'b0;
    parameter [319:0] INITVAL_1D = 320'b0;
    parameter [319:0] INITVAL_1E = 320'b0;
    parameter [319:0] INITVAL_1F = 320'b0;
    parameter [319:0] INITVAL_20 = 320'b0;
    parameter [319:0] INITVAL_21 = 320'b0;
    parameter [319:0] INITVAL_22 = 320'b0;
    parameter [319:0] INITVAL_23 = 320'b0;
    parameter [319:0] INITVAL_24 = 320'b0;
    parameter [319:0] INITVAL_25 = 320'b0;
    parameter [319:0] INITVAL_26 = 320'b0;
    parameter [319:0] INITVAL_27 = 320'b0;
    parameter [319:0] INITVAL_28 = 320'b0;
    parameter [319:0] INITVAL_29 = 320'b0;
    parameter [319:0] INITVAL_2A = 320'b0;
    parameter [319:0] INITVAL_2B = 320'b0;
    parameter [319:0] INITVAL_2C = 320'b0;
    parameter [319:0] INITVAL_2D = 320'b0;
    parameter [319:0] INITVAL_2E = 320'b0;
    parameter [319:0] INITVAL_2F = 320'b0;
    parameter [319:0] INITVAL_30 = 320'b0;
    parameter [319:0] INITVAL_31 = 320'b0;
    parameter [319:0] INITVAL_32 = 320'b0;
    parameter [319:0] INITVAL_33 = 320'b0;
    parameter [319:0] INITVAL_34 = 320'b0;
    parameter [319:0] INITVAL_35 = 320'b0;
    parameter [319:0] INITVAL_36 = 320'b0;
    parameter [319:0] INITVAL_37 = 320'b0;
    parameter [319:0] INITVAL_38 = 320'b0;
    parameter [319:0] INITVAL_39 = 320'b0;
    parameter [319:0] INITVAL_3A = 320'b0;
    parameter [319:0] INITVAL_3B = 320'b0;
    parameter [319:0] INITVAL_3C = 320'b0;
    parameter [319:0] INITVAL_3D = 320'b0;
    parameter [319:0] INITVAL_3E = 320'b0;
    parameter [319:0] INITVAL_3F = 320'b0;

    localparam PSEUDO = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;

    generate
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG")
            $error("DP16KD: the model has no output register (REGMODE)");
        if (DATA_WIDTH_A != 1 && DATA_WIDTH_A != 2 && DATA_WIDTH_A != 4 && DATA_WIDTH_A != 9
                && DATA_WIDTH_A != 18 && DATA_WIDTH_A != 36)
            $error("DP16KD: DATA_WIDTH_A is not 1, 2, 4, 9, 18 or 36");
        if (DATA_WIDTH_B != 1 && DATA_WIDTH_B != 2 && DATA_WIDTH_B != 4 && DATA_WIDTH_B != 9
                && DATA_WIDTH_B != 18 && DATA_WIDTH_B != 36)
            $error("DP16KD: DATA_WIDTH_B is not 1, 2, 4, 9, 18 or 36");
        if (RESETMODE != "SYNC" && RESETMODE != "ASYNC")
            $error("DP16KD: RESETMODE is not SYNC or ASYNC");
        if (RESETMODE != ASYNC_RESET_RELEASE)
            $error("DP16KD: the model releases a reset as it takes it (ASYNC_RESET_RELEASE)");
        if (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "WRITETHROUGH"
                && WRITEMODE_A != "READBEFOREWRITE")
            $error("DP16KD: WRITEMODE_A is unknown");
        if (WRITEMODE_B != "NORMAL" && WRITEMODE_B != "WRITETHROUGH"
                && WRITEMODE_B != "READBEFOREWRITE")
            $error("DP16KD: WRITEMODE_B is unknown");
        if (CLKAMUX != "CLKA" && CLKAMUX != "INV") $error("DP16KD: CLKAMUX is unknown");
        if (CLKBMUX != "CLKB" && CLKBMUX != "INV") $error("DP16KD: CLKBMUX is unknown");
        if (INIT_DATA != "STATIC") $error("DP16KD: INIT_DATA is not STATIC");
    endgenerate

    reg [17:0] mem [0:1023];
    integer i;
    initial
        for (i = 0; i < 16; i = i + 1) begin
            mem['h000 + i] = INITVAL_00[20*i +: 18];
            mem['h010 + i] = INITVAL_01[20*i +: 18];
            mem['h020 + i] = INITVAL_02[20*i +: 18];
            mem['h030 + i] = INITVAL_03[20*i +: 18];
            mem['h040 + i] = INITVAL_04[20*i +: 18];
            mem['h050 + i] = INITVAL_05[20*i +: 18];
            mem['h060 + i] = INITVAL_06[20*i +: 18];
            mem['h070 + i] = INITVAL_07[20*i +: 18];
            mem['h080 + i] = INITVAL_08[20*i +: 18];
            mem['h090 + i] = INITVAL_09[20*i +: 18];
            mem['h0a0 + i] = INITVAL_0A[20*i +: 18];
            mem['h0b0 + i] = INITVAL_0B[20*i +: 18];
            mem['h0c0 + i] = INITVAL_0C[20*i +: 18];
            mem['h0d0 + i] = INITVAL_0D[20*i +: 18];
            mem['h0e0 + i] = INITVAL_0E[20*i +: 18];
            mem['h0f0 + i] = INITVAL_0F[20*i +: 18];
            mem['h100 + i] = INITVAL_10[20*i +: 18];
            mem['h110 + i] = INITVAL_11[20*i +: 18];
            mem['h120 + i] = INITVAL_12[20*i +: 18];
            mem['h130 + i] = INITVAL_13[20*i +: 18];
            mem['h140 + i] = INITVAL_14[20*i +: 18];
            mem['h150 + i] = INITVAL_15[20*i +: 18];
            mem['h160 + i] = INITVAL_16[20*i +: 18];
            mem['h170 + i] = INITVAL_17[20*i +: 18];
            mem['h180 + i] = INITVAL_18[20*i +: 18];
            mem['h190 + i] = INITVAL_19[20*i +: 18];
            mem['h1a0 + i] = INITVAL_1A[20*i +: 18];
            mem['h1b0 + i] = INITVAL_1B[20*i +: 18];
            mem['h1c0 + i] = INITVAL_1C[20*i +: 18];
            mem['h1d0 + i] = INITVAL_1D[20*i +: 18];
            mem['h1e0 + i] = INITVAL_1E[20*i +: 18];
            mem['h1f0 + i] = INITVAL_1F[20*i +: 18];
            mem['h200 + i] = INITVAL_20[20*i +: 18];
            mem['h210 + i] = INITVAL_21[20*i +: 18];
            mem['h220 + i] = INITVAL_22[20*i +: 18];
            mem['h230 + i] = INITVAL_23[20*i +: 18];
            mem['h240 + i] = INITVAL_24[20*i +: 18];
            mem['h250 + i] = INITVAL_25[20*i +: 18];
            mem['h260 + i] = INITVAL_26[20*i +: 18];
            mem['h270 + i] = INITVAL_27[20*i +: 18];
            mem['h280 + i] = INITVAL_28[20*i +: 18];
            mem['h290 + i] = INITVAL_29[20*i +: 18];
            mem['h2a0 + i] = INITVAL_2A[20*i +: 18];
            mem['h2b0 + i] = INITVAL_2B[20*i +: 18];
            mem['h2c0 + i] = INITVAL_2C[20*i +: 18];
            mem['h2d0 + i] = INITVAL_2D[20*i +: 18];
            mem['h2e0 + i] = INITVAL_2E[20*i +: 18];
            mem['h2f0 + i] = INITVAL_2F[20*i +: 18];
            mem['h300 + i] = INITVAL_30[20*i +: 18];
            mem['h310 + i] = INITVAL_31[20*i +: 18];
            mem['h320 + i] = INITVAL_32[20*i +: 18];
            mem['h330 + i] = INITVAL_33[20*i +: 18];
            mem['h340 + i] = INITVAL_34[20*i +: 18];
            mem['h350 + i] = INITVAL_35[20*i +: 18];
            mem['h360 + i] = INITVAL_36[20*i +: 18];
            mem['h370 + i] = INITVAL_37[20*i +: 18];
            mem['h380 + i] = INITVAL_38[20*i +: 18];
            mem['h390 + i] = INITVAL_39[20*i +: 18];
            mem['h3a0 + i] = INITVAL_3A[20*i +: 18];
            mem['h3b0 + i] = INITVAL_3B[20*i +: 18];
            mem['h3c0 + i] = INITVAL_3C[20*i +: 18];
            mem['h3d0 + i] = INITVAL_3D[20*i +: 18];
            mem['h3e0 + i] = INITVAL_3E[20*i +: 18];
            mem['h3f0 + i] = INITVAL_3F[20*i +: 18];
        end

    wire [17:0] dia =
        {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib =
        {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [13:0] ada =
        {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb =
        {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};

    wire clka = CLKAMUX == "INV" ? ~CLKA : CLKA;
    wire clkb = CLKBMUX == "INV" ? ~CLKB : CLKB;

    // Each character of "0b101" is '0' or '1': its lowest bit is the digit.
    wire ena = CEA && {CSA2, CSA1, CSA0} == {CSDECODE_A[16], CSDECODE_A[8], CSDECODE_A[0]};
    wire enb = CEB && {CSB2, CSB1, CSB0} == {CSDECODE_B[16], CSDECODE_B[8], CSDECODE_B[0]};

    // Bits of the 18-bit word that a write changes, before the word's own bits are chosen.
    function [17:0] write_mask(input integer width, input [13:0] ad);
        case (width)
            1: write_mask = 18'd1 << (ad[2:0] + (ad[3] ? 9 : 0));
            2: write_mask = 18'd3 << (2 * ad[2:1] + (ad[3] ? 9 : 0));
            4: write_mask = 18'd15 << (4 * ad[2] + (ad[3] ? 9 : 0));
            9: write_mask = ad[3] ? 18'h3fe00 : 18'h001ff;
            default: write_mask = {{9{ad[1]}}, {9{ad[0]}}};
        endcase
    endfunction

    function [17:0] write_data(input integer width, input [17:0] d);
        case (width)
            1: write_data = {2{d[0], {8{d[0]}}}};
            2: write_data = {2{d[0], {4{d[1:0]}}}};
            4: write_data = {2{d[0], {2{d[3:0]}}}};
            9: write_data = {2{d[8:0]}};
            default: write_data = d;
        endcase
    endfunction

    function [17:0] read_data(input integer width, input [13:0] ad, input [17:0] word);
        reg [8:0] half;
        begin
            half = ad[3] ? word[17:9] : word[8:0];
            case (width)
                1: read_data = {17'b0, half[ad[2:0]]};
                2: read_data = {16'b0, half[2*ad[2:1] +: 2]};
                4: read_data = {14'b0, half[4*ad[2] +: 4]};
                9: read_data = {9'b0, half};
                default: read_data = word;
            endcase
        end
    endfunction

    reg [17:0] doa = 18'b0;
    reg [17:0] dob = 18'b0;

    generate
        if (PSEUDO) begin : pseudo
            // Port A writes, port B reads 1 to 36 bits.
            wire block = RESETMODE == "SYNC" && RSTA;
            wire [9:0] wa = DATA_WIDTH_A == 36 ? {ada[13:5], 1'b0} : ada[13:4];
            wire [17:0] mask_low = write_mask(DATA_WIDTH_A == 36 ? 18 : DATA_WIDTH_A, ada);
            wire [17:0] mask_high = {{9{ada[3]}}, {9{ada[2]}}};
            wire [17:0] data_low = write_data(DATA_WIDTH_A == 36 ? 18 : DATA_WIDTH_A, dia);
            always @(posedge clka)
                if (ena && WEA && !block) begin
                    mem[wa] <= (mem[wa] & ~mask_low) | (data_low & mask_low);
                    if (DATA_WIDTH_A == 36)
                        mem[wa | 10'd1] <= (mem[wa | 10'd1] & ~mask_high) | (dib & mask_high);
                end
            wire [9:0] ra = DATA_WIDTH_B == 36 ? {adb[13:5], 1'b0} : adb[13:4];
            wire [17:0] low = DATA_WIDTH_B == 36 ? mem[ra] : 18'b0;
            wire [17:0] high =
                DATA_WIDTH_B == 36 ? mem[ra | 10'd1] : read_data(DATA_WIDTH_B, adb, mem[ra]);
            wire write_b = WEB;
            if (RESETMODE == "ASYNC") begin : async_reset
                always @(posedge clkb or posedge RSTB)
                    if (RSTB) {dob, doa} <= 36'b0;
                    else if (enb && !write_b) {dob, doa} <= {high, low};
            end else begin : sync_reset
                always @(posedge clkb)
                    if (RSTB) {dob, doa} <= 36'b0;
                    else if (enb && !write_b) {dob, doa} <= {high, low};
            end
        end else begin : dual
            wire [17:0] mask_a = write_mask(DATA_WIDTH_A, ada);
            wire [17:0] mask_b = write_mask(DATA_WIDTH_B, adb);
            wire [17:0] old_a = mem[ada[13:4]];
            wire [17:0] old_b = mem[adb[13:4]];
            wire [17:0] new_a = (old_a & ~mask_a) | (write_data(DATA_WIDTH_A, dia) & mask_a);
            wire [17:0] new_b = (old_b & ~mask_b) | (write_data(DATA_WIDTH_B, dib) & mask_b);
            wire block_a = RESETMODE == "SYNC" && RSTA;
            wire block_b = RESETMODE == "SYNC" && RSTB;
            // Only the bits that a port writes: the other may write the rest of the same word.
            if (DATA_WIDTH_A >= 9) begin : bytes_a
                wire [17:0] data = write_data(DATA_WIDTH_A, dia);
                always @(posedge clka)
                    if (ena && WEA && !block_a) begin
                        if (mask_a[0]) mem[ada[13:4]][8:0] <= data[8:0];
                        if (mask_a[9]) mem[ada[13:4]][17:9] <= data[17:9];
                    end
            end else begin : part_a
                wire [4:0] low = (ada[3] ? 5'd9 : 5'd0) + (ada[2:0] & ~(DATA_WIDTH_A - 1));
                always @(posedge clka)
                    if (ena && WEA && !block_a)
                        mem[ada[13:4]][low +: DATA_WIDTH_A] <= dia[DATA_WIDTH_A - 1:0];
            end
            if (DATA_WIDTH_B >= 9) begin : bytes_b
                wire [17:0] data = write_data(DATA_WIDTH_B, dib);
                always @(posedge clkb)
                    if (enb && WEB && !block_b) begin
                        if (mask_b[0]) mem[adb[13:4]][8:0] <= data[8:0];
                        if (mask_b[9]) mem[adb[13:4]][17:9] <= data[17:9];
                    end
            end else begin : part_b
                wire [4:0] low = (adb[3] ? 5'd9 : 5'd0) + (adb[2:0] & ~(DATA_WIDTH_B - 1));
                always @(posedge clkb)
                    if (enb && WEB && !block_b)
                        mem[adb[13:4]][low +: DATA_WIDTH_B] <= dib[DATA_WIDTH_B - 1:0];
            end

            wire read_a = ena && (!WEA || WRITEMODE_A != "NORMAL");
            wire read_b = enb && (!WEB || WRITEMODE_B != "NORMAL");
            wire [17:0] out_a =
                read_data(DATA_WIDTH_A, ada, WEA && WRITEMODE_A == "WRITETHROUGH" ? new_a : old_a);
            wire [17:0] out_b =
                read_data(DATA_WIDTH_B, adb, WEB && WRITEMODE_B == "WRITETHROUGH" ? new_b : old_b);
            if (RESETMODE == "ASYNC") begin : async_reset
                always @(posedge clka or posedge RSTA)
                    if (RSTA) doa <= 18'b0;
                    else if (read_a) doa <= out_a;
                always @(posedge clkb or posedge RSTB)
                    if (RSTB) dob <= 18'b0;
                    else if (read_b) dob <= out_b;
            end else begin : sync_reset
                always @(posedge clka)
                    if (RSTA) doa <= 18'b0;
                    else if (read_a) doa <= out_a;
                always @(posedge clkb)
                    if (RSTB) dob <= 18'b0;
                    else if (read_b) dob <= out_b;
            end
        end
    endgenerate

    assign
        {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0} = doa;
    assign
        {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0} = dob;
endmodule

// 18 x 18 multiplier without registers, each operand signed or not.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
    P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_INPUTC_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter SOURCEB_MODE = "B_SHIFT";
    parameter GSR = "ENABLED";

    generate
        if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
                || REG_PIPELINE_CLK != "NONE" || REG_OUTPUT_CLK != "NONE")
            $error("MULT18X18D: the model has no registers (REG_..._CLK)");
    endgenerate

    wire [17:0] a =
        {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b =
        {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire signed [35:0] wide_a = {{18{SIGNEDA & a[17]}}, a};
    wire signed [35:0] wide_b = {{18{SIGNEDB & b[17]}}, b};
    wire [35:0] p = wide_a * wide_b;
    assign
        {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;
endmodule

// PLL: an ideal clock. Every output is the input clock, whatever the dividers: a simulation counts
// cycles of the fabric and knows no time.
module EHXPLLL (
    input CLKI, CLKFB, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY,
    input PLLWAKESYNC, RST, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3,
    output CLKOP, CLKOS, CLKOS2, CLKOS3, LOCK, INTLOCK, REFCLK, CLKINTFB
);
    parameter CLKI_DIV = 1;
    parameter CLKFB_DIV = 1;
    parameter CLKOP_DIV = 8;
    parameter CLKOS_DIV = 8;
    parameter CLKOS2_DIV = 8;
    parameter CLKOS3_DIV = 8;
    parameter CLKOP_ENABLE = "ENABLED";
    parameter CLKOS_ENABLE = "DISABLED";
    parameter CLKOS2_ENABLE = "DISABLED";
    parameter CLKOS3_ENABLE = "DISABLED";
    parameter CLKOP_CPHASE = 0;
    parameter CLKOS_CPHASE = 0;
    parameter CLKOS2_CPHASE = 0;
    parameter CLKOS3_CPHASE = 0;
    parameter CLKOP_FPHASE = 0;
    parameter CLKOS_FPHASE = 0;
    parameter CLKOS2_FPHASE = 0;
    parameter CLKOS3_FPHASE = 0;
    parameter FEEDBK_PATH = "CLKOP";
    parameter CLKOP_TRIM_POL = "RISING";
    parameter CLKOP_TRIM_DELAY = 0;
    parameter CLKOS_TRIM_POL = "RISING";
    parameter CLKOS_TRIM_DELAY = 0;
    parameter OUTDIVIDER_MUXA = "DIVA";
    parameter OUTDIVIDER_MUXB = "DIVB";
    parameter OUTDIVIDER_MUXC = "DIVC";
    parameter OUTDIVIDER_MUXD = "DIVD";
    parameter PLL_LOCK_MODE = 0;
    parameter PLL_LOCK_DELAY = 200;
    parameter STDBY_ENABLE = "DISABLED";
    parameter REFIN_RESET = "DISABLED";
    parameter SYNC_ENABLE = "DISABLED";
    parameter INT_LOCK_STICKY = "ENABLED";
    parameter DPHASE_SOURCE = "DISABLED";
    parameter PLLRST_ENA = "DISABLED";
    parameter INTFB_WAKE = "DISABLED";

    assign CLKOP = CLKI;
    assign CLKOS = CLKI;
    assign CLKOS2 = CLKI;
    assign CLKOS3 = CLKI;
    assign REFCLK = CLKI;
    assign CLKINTFB = CLKI;
    assign LOCK = !RST;
    assign INTLOCK = !RST;
endmodule

// Clock buffer.
module DCCA (input CLKI, CE, output CLKO);
    assign CLKO = CLKI & CE;
endmodule

// Global reset: it acts at configuration, which a simulation starts after.
module GSR (input GSR);
endmodule
module SGSR (input GSR, CLK);
endmodule

// Look-up tables as one indexed constant: what Yosys' own models say in a form that simulates
// several times faster.
module LUT4 (input A, B, C, D, output Z);
    parameter [15:0] INIT = 16'h0000;
    assign Z = INIT[{D, C, B, A}];
endmodule
module LUT2 (input A, B, output Z);
    parameter [3:0] INIT = 4'h0;
    assign Z = INIT[{B, A}];
endmodule

// Flip-flop, in the form that simulates fastest. It powers up as its reset would set it: to 1 here,
// to 0 because Verilator is told to start every other register at 0.
module TRELLIS_FF (input CLK, LSR, CE, DI, M, output reg Q);
    parameter GSR = "ENABLED";
    parameter CEMUX = "1";
    parameter CLKMUX = "CLK";
    parameter LSRMUX = "LSR";
    parameter SRMODE = "LSR_OVER_CE";
    parameter REGSET = "RESET";
    parameter LSRMODE = "LSR";

    localparam VALUE = REGSET == "SET";

    generate
        if (VALUE) initial Q = 1'b1;
        if (LSRMODE != "LSR") $error("TRELLIS_FF: the model does not load from M (LSRMODE)");
        if (CEMUX != "1" && CEMUX != "CE" && CEMUX != "INV")
            $error("TRELLIS_FF: CEMUX is not 1, CE or INV");
        if (SRMODE == "ASYNC") begin : with_async_reset
            wire clk = CLKMUX == "INV" ? ~CLK : CLK;
            wire lsr = LSRMUX == "INV" ? ~LSR : LSR;
            wire ce = CEMUX == "1" ? 1'b1 : CEMUX == "INV" ? ~CE : CE;
            always @(posedge clk or posedge lsr)
                if (lsr) Q <= VALUE;
                else if (ce) Q <= DI;
        end else if (CLKMUX == "INV" || LSRMUX == "INV" || CEMUX == "INV") begin : with_inverter
            wire clk = CLKMUX == "INV" ? ~CLK : CLK;
            wire lsr = LSRMUX == "INV" ? ~LSR : LSR;
            wire ce = CEMUX == "1" ? 1'b1 : CEMUX == "INV" ? ~CE : CE;
            always @(posedge clk)
                if (lsr) Q <= VALUE;
                else if (ce) Q <= DI;
        end else if (CEMUX == "1") begin : always_on
            always @(posedge CLK) Q <= LSR ? VALUE : DI;
        end else begin : enabled
            always @(posedge CLK)
                if (LSR) Q <= VALUE;
                else if (CE) Q <= DI;
        end
    endgenerate
endmodule
