// How the page looks, by day and by night.

export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#f4f4ee, #14170f);
  --card: light-dark(#ffffff, #1d2118);
  --ink: light-dark(#23291d, #e7ebdf);
  --soft: light-dark(#667059, #9aa58c);
  --line: light-dark(#dfe2d5, #323a2a);
  --answered: light-dark(#8fb996, #4f7d57);
  --failed: light-dark(#c8321f, #f0664f);
  --fault: light-dark(#c8321f, #f0664f);
  --person: light-dark(#a96a00, #e3a93c);
  --cluster: light-dark(#1c6a9c, #63b1e3);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; }
#picture { padding: 28px 28px 8px; background: var(--paper); }
h1 { margin: 0 0 4px; font-size: clamp(1.6rem, 4vw, 2.2rem); letter-spacing: -0.02em; line-height: 1.15; }
h2 { margin: 0; font-size: 1.2rem; }
h2 span { color: var(--soft); font-weight: 400; margin-right: 4px; }
h3 { margin: 16px 0 4px; font-size: 0.9rem; font-weight: 400; }
p { margin: 0 0 8px; max-width: 78ch; }
code, pre { font: 0.82em ui-monospace, 'DejaVu Sans Mono', monospace; }
code { overflow-wrap: anywhere; color: var(--soft); }
pre { overflow-x: auto; margin: 0; padding: 10px 12px; background: var(--paper); border-radius: 8px; }
.soft { color: var(--soft); font-size: 0.9rem; }
.notice { padding: 6px 12px; border-left: 4px solid var(--person); background: var(--card); }
.hero { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 14px; margin: 14px 0; padding: 0; list-style: none; }
.card, section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 16px 20px; }
section { margin: 0 0 16px; }
main > section { margin: 0 28px 16px; }
.number { margin: 0; color: var(--soft); font-size: 0.9rem; }
.down { margin: 0; font-size: clamp(1.4rem, 4vw, 2.1rem); font-weight: 650; letter-spacing: -0.02em; line-height: 1.2; }
.down small { font-size: 0.95rem; font-weight: 400; letter-spacing: 0; color: var(--soft); }
.share { height: 8px; margin: 8px 0 10px; border-radius: 4px; background: var(--line); overflow: hidden; }
.share span { display: block; height: 100%; background: var(--failed); }
.card .soft { margin: 0; }
.legend { font-size: 0.85rem; color: var(--soft); max-width: none; }
.key, .dot { display: inline-block; width: 11px; height: 11px; margin: 0 3px 0 14px; border-radius: 2px; }
.key:first-child { margin-left: 0; }
.dot { border-radius: 50%; }
.key.answered { background: var(--answered); }
.key.failed { background: var(--failed); }
.dot.fault { background: var(--fault); }
.dot.person { background: var(--person); }
.dot.cluster { background: var(--cluster); }
.vms { display: flex; flex-wrap: wrap; gap: 8px; margin: 10px 0 2px; font-size: 0.82rem; }
.vm { border: 1px solid var(--line); border-radius: 9px; padding: 5px 9px; max-width: 100%; overflow-wrap: anywhere; }
.vm b { font-weight: 600; margin-right: 4px; }
.vm.lost { border-color: var(--failed); border-style: dashed; }
.vm.lost b { color: var(--failed); }
.chip { display: inline-block; padding: 0 7px; border-radius: 999px; background: var(--paper); border: 1px solid var(--line); }
.chip.backup { border-style: dashed; color: var(--soft); }
.chip.killed { border-color: var(--failed); color: var(--failed); }
.timeline { display: block; width: 100%; height: auto; margin: 6px 0 2px; }
.timeline text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.timeline .axis { stroke: var(--line); }
.timeline .answered { fill: var(--answered); }
.timeline .failed { fill: var(--failed); }
.timeline .outage { font-size: 15px; font-weight: 600; fill: light-dark(#ffffff, #14170f); paint-order: stroke; stroke: var(--failed); stroke-width: 5px; }
.mark path { fill: none; stroke: var(--tone); stroke-width: 1.2; }
.mark circle { fill: var(--tone); }
.mark text { fill: light-dark(#ffffff, #14170f); font-size: 11px; font-weight: 600; }
.fault { --tone: var(--fault); }
.person { --tone: var(--person); }
.cluster { --tone: var(--cluster); }
.moments { margin: 0 0 8px; padding: 0 0 0 22px; font-size: 0.92rem; }
.moments li::marker { color: var(--tone); font-weight: 600; }
.moments time { display: inline-block; min-width: 2.6em; font-variant-numeric: tabular-nums; color: var(--soft); }
.moments .who { display: inline-block; min-width: 4em; color: var(--tone); font-weight: 600; }
table { border-collapse: collapse; margin: 8px 0; font-size: 0.92rem; }
th, td { text-align: left; padding: 3px 18px 3px 0; border-bottom: 1px solid var(--line); font-weight: 400; }
th { color: var(--soft); }
ul { margin: 8px 0; padding-left: 20px; font-size: 0.92rem; }
summary { cursor: pointer; }
@media (max-width: 720px) {
  #picture { padding: 16px 14px 4px; }
  main > section { margin: 0 14px 14px; }
  .hero { grid-template-columns: minmax(0, 1fr); }
  .timeline { min-width: 620px; }
  section { overflow-x: auto; }
}
`
