// The task of bench_engine.py on bpmn-engine, in memory; the diagram is read once. Usage: node FILE COUNT
const { Engine } = require('bpmn-engine');
const BpmnModdle = require('bpmn-moddle');
const elements = require('bpmn-elements');
const { default: serialize, TypeResolver } = require('moddle-context-serializer');

const JOBS = ['acquire', 'validate', 'execute', 'verify', 'record'];

function diagram() {
  const task = (id) => `<serviceTask id="${id}" implementation="\${environment.services.nothing}"/>`;
  const flow = (id, from, to, inside = '') =>
    `<sequenceFlow id="${id}" sourceRef="${from}" targetRef="${to}">${inside}</sequenceFlow>`;
  const passed = '<conditionExpression xsi:type="tFormalExpression">${environment.variables.passed}</conditionExpression>';
  return `<?xml version="1.0"?><definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="d" targetNamespace="bench">
    <process id="p" isExecutable="true"><startEvent id="start"/>${JOBS.map(task).join('')}
    <exclusiveGateway id="gate" default="skip"/><endEvent id="end"/>
    ${flow('f1', 'start', 'acquire')}${flow('f2', 'acquire', 'validate')}${flow('f3', 'validate', 'execute')}
    ${flow('f4', 'execute', 'verify')}${flow('f5', 'verify', 'gate')}${flow('go', 'gate', 'record', passed)}
    ${flow('skip', 'gate', 'end')}${flow('f6', 'record', 'end')}</process></definitions>`;
}

async function main(count) {
  const context = serialize(await new BpmnModdle().fromXML(diagram()), TypeResolver(elements));
  let done = 0;
  const services = { nothing(scope, next) { done += 1; next(null, { rc: 0 }); } };
  const started = process.hrtime.bigint();
  const used = process.cpuUsage();
  for (let number = 0; number < count; number += 1) {
    const engine = new Engine({ name: `t${number}`, sourceContext: context, variables: { passed: true }, services });
    await new Promise((resolve, reject) => {
      engine.once('end', resolve);
      engine.once('error', reject);
      engine.execute().catch(reject);
    });
  }
  const cpu = process.cpuUsage(used);
  if (done !== count * JOBS.length) throw new Error(`expected ${count * JOBS.length} jobs, but ${done} were done`);
  console.log(JSON.stringify({
    wall: Number(process.hrtime.bigint() - started) / 1e9,
    cpu: (cpu.user + cpu.system) / 1e6,
  }));
}

main(Number(process.argv[2])).catch((error) => {
  console.error(String(error));
  process.exit(1);
});
