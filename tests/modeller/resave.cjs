// Reads a BPMN file on stdin with bpmn-moddle and writes it as a modeller would save it; warnings fail.
const { BpmnModdle } = require('bpmn-moddle');
const zeebe = require('zeebe-bpmn-moddle/resources/zeebe.json');

async function main() {
  const moddle = new BpmnModdle({ zeebe });
  const { rootElement, warnings } = await moddle.fromXML(require('fs').readFileSync(0, 'utf8'));
  if (warnings.length) throw new Error(warnings.map((warning) => warning.message).join('; '));
  process.stdout.write((await moddle.toXML(rootElement, { format: true })).xml);
}

main().catch((error) => { console.error(error.message); process.exitCode = 1; });
