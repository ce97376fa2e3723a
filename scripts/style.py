# SPDX-License-Identifier: Apache-2.0
"""The report's style sheet: one column, light and dark, and paper."""

from __future__ import annotations

__all__ = ["STYLE"]

_LIGHT = """
--paper:#f6f5f1;--card:#fffefb;--ink:#1d2733;--soft:#5c6773;--rule:#dfddd5;--grid:#eae8e1;
--band:#f3f1ea;--integer:#c2410c;--float:#4f7cac;--good:#0f766e;--bad:#be123c;--amber:#b7791f;
--wire:#9aa5b1;--on-dark:#fff"""

_DARK = """
--paper:#12161b;--card:#1a2027;--ink:#e6e9ec;--soft:#9aa6b2;--rule:#2d363f;--grid:#27303a;
--band:#20272f;--integer:#fb8c4e;--float:#7fb0e6;--good:#2fb5a5;--bad:#fb7185;--amber:#e3b341;
--wire:#596674;--on-dark:#08211e"""

STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
-webkit-text-size-adjust:100%}}
main{{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 3rem}}
header{{padding:.75rem 0 1.25rem}}
.kicker{{color:var(--integer);font-weight:600;font-size:.8rem;letter-spacing:.08em;
text-transform:uppercase;margin:0}}
h1{{font-size:clamp(1.6rem,5vw,2.4rem);line-height:1.15;margin:.15rem 0 .4rem;
letter-spacing:-.02em;overflow-wrap:anywhere}}
h2{{font-size:1.12rem;margin:0 0 .15rem;letter-spacing:-.01em}}
h3{{font-size:.9rem;margin:0 0 .25rem;font-weight:600}}
p{{margin:.2rem 0 .8rem}}
.lead{{color:var(--soft);max-width:46rem}}
.meta{{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:0;font-size:.86rem;color:var(--soft)}}
.meta b{{color:var(--ink);font-weight:600}}
code{{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;
overflow-wrap:anywhere}}
section{{background:var(--card);border:1px solid var(--rule);border-radius:12px;
padding:1.1rem 1.2rem 1.2rem;margin:0 0 1rem}}
.explain{{color:var(--soft);font-size:.88rem;margin:0 0 .9rem;max-width:48rem}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1px;
background:var(--rule);border:1px solid var(--rule);border-radius:12px;overflow:hidden;
margin:0 0 1rem}}
.tile{{background:var(--card);padding:.85rem 1rem}}
.tile span{{display:block;color:var(--soft);font-size:.8rem}}
.tile strong{{font-size:1.65rem;font-weight:650;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}}
.tile small{{font-size:.9rem;color:var(--soft);margin-left:.2rem}}
table{{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}}
th,td{{text-align:left;padding:.42rem .6rem .42rem 0;border-bottom:1px solid var(--grid);
vertical-align:top}}
tr:last-child th,tr:last-child td{{border-bottom:0}}
th{{font-weight:500;color:var(--soft)}}
thead th{{font-size:.8rem;border-bottom:1px solid var(--rule);vertical-align:bottom}}
td.n,th.n{{text-align:right}}td.n{{white-space:nowrap}}
td.note{{color:var(--soft);font-size:.86rem}}
.pair{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));
gap:1.1rem 1.6rem}}
.pair>*{{min-width:0}}
.scroll{{overflow-x:auto}}
svg{{display:block;width:100%;height:auto}}
.scroll svg{{min-width:20rem}}.graph>div{{margin:0 auto}}
.limit svg{{max-width:30rem;margin:0 auto}}
.sweep svg,.net svg,.raster svg{{max-width:38rem;margin:0 auto}}
.legend{{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.82rem;color:var(--soft);
margin:0 0 .5rem;padding:0;list-style:none}}
.legend i{{display:inline-block;width:1.1rem;height:.25rem;border-radius:2px;
vertical-align:middle;margin-right:.4rem}}
.legend i.round{{width:.55rem;height:.55rem;border-radius:50%}}
.legend i.dash-float{{background:none;height:0;border-top:2px dashed var(--float);border-radius:0}}
.legend i.dash{{background:none;height:0;border-top:2px dashed var(--amber);border-radius:0}}
.bg-float{{background:var(--float)}}.bg-integer{{background:var(--integer)}}
.meter-row{{margin:0 0 .8rem}}
.meter-row:last-child{{margin:0}}
.meter-row div{{display:flex;justify-content:space-between;font-size:.9rem;margin-bottom:.25rem;
font-variant-numeric:tabular-nums}}
.meter-row em{{font-style:normal;color:var(--soft)}}
.meter-row svg{{height:.6rem;border-radius:5px}}
ul.notes{{margin:0;padding-left:1.1rem;font-size:.9rem}}
footer{{color:var(--soft);font-size:.82rem;padding:.4rem 0}}
svg text{{fill:var(--ink);font-size:11.5px;font-family:inherit}}
svg .tick{{fill:var(--soft);font-size:10.5px}}svg .tiny{{fill:var(--soft);font-size:9px}}
svg .label{{fill:var(--soft);font-size:11px}}svg .name{{font-weight:600;font-size:12px}}
svg .value{{font-size:10.5px;font-weight:600;paint-order:stroke;stroke:var(--card);
stroke-width:4px;stroke-linejoin:round}}
svg .grid{{stroke:var(--grid)}}svg .axis{{stroke:var(--wire)}}
svg .stroke{{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}}
svg .stroke.wide{{stroke-width:5;opacity:.5}}
svg .stroke.float{{stroke:var(--float)}}svg .stroke.integer{{stroke:var(--integer)}}
svg .float.dashed{{stroke:var(--float)}}
svg .dashed{{stroke-dasharray:5 4;stroke-width:1.5}}svg .threshold{{stroke:var(--amber)}}
svg .dot{{stroke:var(--card);stroke-width:1.5}}svg .dot.integer{{fill:var(--integer)}}
svg .dot.spiked{{fill:var(--integer)}}svg .dot.chosen{{fill:var(--card);stroke:var(--integer);
stroke-width:2}}
svg .area{{fill:var(--float);opacity:.22}}svg .bar{{fill:var(--integer);opacity:.85}}
svg .band{{fill:var(--band)}}svg .spike{{fill:var(--ink)}}
svg .track{{fill:var(--band)}}svg .meter{{fill:var(--good)}}svg .over{{fill:var(--bad)}}
svg .cell{{fill:var(--band)}}svg .right{{fill:var(--good)}}svg .wrong{{fill:var(--bad)}}
svg .on-dark{{fill:var(--on-dark);font-weight:600}}
svg .wire{{stroke:var(--wire);stroke-width:.5;opacity:.55;fill:none}}
svg .neuron{{fill:var(--card);stroke:var(--integer);stroke-width:2}}
svg .input{{fill:var(--card);stroke:var(--float);stroke-width:2}}
svg .shown{{fill:var(--card);stroke:var(--good);stroke-width:2}}
svg .said{{fill:var(--soft);font-size:9px;paint-order:stroke;stroke:var(--card);stroke-width:3px}}
svg .link{{fill:none;stroke:var(--wire);stroke-width:1.5}}svg .head{{fill:var(--wire)}}
svg .link.back{{stroke:var(--integer);stroke-dasharray:4 3}}svg .head.back{{fill:var(--integer)}}
svg .ellipsis{{fill:var(--soft)}}svg .paper{{fill:var(--card)}}
svg .badge{{fill:var(--card);stroke:var(--rule)}}svg .badge-text{{font-weight:600;font-size:11px}}
@media (max-width:34rem){{section{{padding:.9rem .9rem 1rem}}
.tile strong{{font-size:1.4rem}}
.figures tr{{display:grid;grid-template-columns:1fr auto;border-bottom:1px solid var(--grid);
padding:.35rem 0}}
.figures th,.figures td{{border:0;padding:0}}.figures td.note{{grid-column:1/-1;font-size:.8rem}}}}
@media print{{:root{{color-scheme:light;{_LIGHT};--paper:#fff;--card:#fff}}
*{{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
main{{max-width:none;padding:0}}section,.tiles,.meter-row,figure{{break-inside:avoid}}
.scroll{{overflow:visible}}.scroll svg{{min-width:0}}
.raster svg,.net svg,.sweep svg{{max-width:30rem}}html{{font-size:85%}}
.limit svg{{max-width:22rem}}}}
""".strip()
