//! The page's style sheet; that of the pictures is the plot module's, and so are the colours.

use crate::plot::{DARK, LIGHT, Theme};

/// The rules of the page for both themes.
pub(super) fn css() -> String {
    let variables = |t: &Theme, panel: &str, back: &str| {
        format!(
            "--back:{back};--panel:{panel};--ink:{};--muted:{};--line:{};--accent:{};--warm:{}",
            t.ink, t.muted, t.grid, t.colours[0], t.colours[1]
        )
    };
    format!(
        ":root{{{}}}\n@media(prefers-color-scheme:dark){{:root{{{}}}}}\n{RULES}",
        variables(&LIGHT, LIGHT.back, "#f4f5f7"),
        variables(&DARK, DARK.back, "#0a0d11"),
    )
}

const RULES: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}
main{max-width:1290px;margin:0 auto;padding:28px 20px 40px}
h1{font-size:26px;line-height:1.2;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 4px;letter-spacing:-.005em}
p.note,figcaption,footer{color:var(--muted)}
p.note{margin:0 0 4px;max-width:100ch}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}
.head{display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline}
.state{font-size:13px;font-weight:600;padding:1px 10px;border-radius:99px;border:1px solid currentColor;color:var(--accent)}
.state.warm{color:var(--warm)}
.sub{color:var(--muted);margin:6px 0 0}
.bar{height:5px;border-radius:3px;background:var(--line);margin:12px 0 18px;overflow:hidden}
.bar i{display:block;height:100%;background:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:10px}
.tile,figure,article,.card{background:var(--panel);border:1px solid var(--line);border-radius:10px}
.tile{padding:11px 14px}
.tile b{display:block;font-size:22px;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tile b small{font-size:14px;font-weight:500;color:var(--muted);letter-spacing:0}
.tile span{color:var(--muted);font-size:13px;display:block;line-height:1.4}
.panels{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:14px;margin-top:12px}
figure{margin:0;padding:10px 10px 12px;min-width:0;display:flex;flex-direction:column}
figure svg{width:100%;height:auto;display:block}
figcaption{font-size:13px;line-height:1.45;margin:6px 8px 0}
figure.wide{grid-column:span 2;grid-row:span 2}
.narrow{display:none!important}
.facts{width:100%;border-collapse:collapse;font-size:14px}
.facts caption{text-align:left;font-weight:600;padding:6px 8px 8px}
.facts td{padding:6px 8px;border-top:1px solid var(--line);vertical-align:top}
.facts td:last-child{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.facts small{display:block;color:var(--muted);font-size:12.5px;line-height:1.35}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr));gap:14px;margin-top:12px}
article{padding:12px 16px;min-width:0}
article h3{font-size:13px;margin:0 0 6px;display:flex;justify-content:space-between;gap:10px;font-weight:600}
article h3 span{color:var(--muted);font-weight:400}
article pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px;line-height:1.5;unicode-bidi:isolate;max-height:16em;overflow:auto}
article pre i{font-style:normal;color:var(--muted)}
.card{padding:12px 16px;margin-top:12px}
.keys{columns:3 340px;column-gap:34px}
.keys div{break-inside:avoid;margin:0 0 16px}
.keys h3{font-size:13px;margin:0 0 3px;color:var(--muted);font-weight:600}
.keys p{margin:0;display:flex;gap:12px;justify-content:space-between;font-size:13px;border-bottom:1px dotted var(--line)}
.keys p span:last-child{text-align:right;overflow-wrap:anywhere;font-family:ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}
.keys p.set span:last-child{color:var(--accent);font-weight:600}
.keys p span:first-child{color:var(--muted)}.keys p.set span:first-child{color:var(--ink)}
summary{cursor:pointer;font-weight:600}details[open] summary{margin-bottom:14px}
footer{font-size:13px;margin-top:34px;overflow-wrap:anywhere}
@media(max-width:1100px){.panels{grid-template-columns:repeat(2,minmax(0,1fr))}figure.wide{grid-row:auto}}
@media(max-width:720px){main{padding:18px 12px 30px}.panels{grid-template-columns:minmax(0,1fr)}figure.wide{grid-column:auto}
.wide .broad{display:none}.narrow{display:block!important}.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}.tile{padding:9px 11px}.tile b{font-size:19px}figure{padding:6px 6px 10px}}
@media print{body{background:#fff}figure,article,.tile{break-inside:avoid}}
";
