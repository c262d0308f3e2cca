// What a modeller does, without a person: opens diagrams, applies element templates, saves. Bundled by esbuild into a
// page; TASKS is a list of { xml, templates, apply: { elementId: templateId } }, the answers stand in <pre id="answers">.
import Modeler from 'bpmn-js/lib/Modeler';
import zeebe from 'zeebe-bpmn-moddle/resources/zeebe.json';
import behaviors from 'camunda-bpmn-js-behaviors/lib/camunda-cloud';
import { CloudElementTemplatesCoreModule } from 'bpmn-js-element-templates/core';

async function carryOut({ xml, templates, apply }) {
  const container = document.createElement('div');
  container.style.cssText = 'width: 1600px; height: 900px';
  document.body.appendChild(container);
  const modeler = new Modeler({
    container,
    additionalModules: [behaviors, CloudElementTemplatesCoreModule],
    moddleExtensions: { zeebe },
  });
  const errors = [];
  modeler.on('elementTemplates.errors', (event) => errors.push(...event.errors.map((error) => error.message)));
  const { warnings } = await modeler.importXML(xml);
  modeler.get('elementTemplatesLoader').setTemplates(templates);
  const elementTemplates = modeler.get('elementTemplates');
  for (const [id, template] of Object.entries(apply)) {
    const element = modeler.get('elementRegistry').get(id);
    elementTemplates.applyTemplate(element, elementTemplates.getLatest(template)[0]);
  }
  const saved = await modeler.saveXML({ format: true });
  const mark = container.querySelector('.bjs-powered-by');
  modeler.destroy();
  container.remove();
  return { warnings: warnings.map((warning) => warning.message), errors, xml: saved.xml, watermark: Boolean(mark) };
}

async function main() {
  const answers = [];
  for (const task of window.TASKS) {
    try { answers.push(await carryOut(task)); } catch (error) { answers.push({ failed: String(error.stack || error) }); }
  }
  const shown = document.createElement('pre');
  shown.id = 'answers';
  shown.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(answers))));
  document.body.appendChild(shown);
}

main();
