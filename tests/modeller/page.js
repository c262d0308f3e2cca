// What a modeller does, without a person: opens diagrams, applies element templates, saves. modeller.js is the code of
// docs/howto/model-with-bpmn-js.md. TASKS is a list of { xml, templates, apply: { elementId: templateId } }; the answers
// stand in <pre id="answers">.
import { applyTemplate, createModeller, open, save } from './modeller.js';

async function carryOut({ xml, templates, apply }) {
  const [container, panel] = ['main', 'aside'].map((tag) => document.body.appendChild(document.createElement(tag)));
  container.style.cssText = 'width: 1600px; height: 900px';
  const modeler = createModeller(container, panel, []);
  const errors = [];
  modeler.on('elementTemplates.errors', (event) => errors.push(...event.errors.map((error) => error.message)));
  modeler.get('elementTemplatesLoader').setTemplates(templates);
  await open(modeler, xml);
  for (const [id, template] of Object.entries(apply)) applyTemplate(modeler, id, template);
  const saved = await save(modeler);
  const watermark = Boolean(container.querySelector('.bjs-powered-by'));
  modeler.destroy();
  container.remove();
  panel.remove();
  return { errors, xml: saved, watermark };
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
