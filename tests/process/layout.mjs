// Gives BPMN files a picture: `node layout.mjs FILE…` rewrites each file as bpmn-js would save it.
//
// Every process is laid out by bpmn-auto-layout; pools stand one below the other;
// the inside of a sub-process gets a plane of its own (it is drawn collapsed). A file that bpmn-moddle reads with
// a warning is left as it is, and the script fails. Needs: npm i bpmn-moddle@10 zeebe-bpmn-moddle@2 bpmn-auto-layout@1
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { BpmnModdle } from 'bpmn-moddle';
import { layoutProcess } from 'bpmn-auto-layout';

const zeebe = createRequire(import.meta.url)('zeebe-bpmn-moddle/resources/zeebe.json');
const moddle = new BpmnModdle({ zeebe });
const GAP = 60;
const LABEL = 30;

async function read(xml) {
  const { rootElement, warnings } = await moddle.fromXML(xml);
  if (warnings.length) throw new Error(warnings.map((warning) => warning.message).join('; '));
  return rootElement;
}

const processesOf = (definitions) =>
  definitions.rootElements.filter((element) => element.$type === 'bpmn:Process');

/** The shapes and edges of one process, by the id of their element. */
async function picture(xml, id) {
  const definitions = await read(xml);
  definitions.rootElements = definitions.rootElements.filter(
    (element) => element.$type !== 'bpmn:Collaboration' && (element.$type !== 'bpmn:Process' || element.id === id),
  );
  const laidOut = await read(await layoutProcess((await moddle.toXML(definitions)).xml));
  return laidOut.diagrams[0].plane.planeElement;
}

const move = (element, dx, dy) => {
  for (const point of [element.bounds, element.label?.bounds, ...(element.waypoint ?? [])]) {
    if (point) { point.x += dx; point.y += dy; }
  }
};

function extent(elements) {
  const boxes = elements.flatMap((element) => element.bounds ?? element.waypoint.map((p) => ({ ...p, x: p.x, y: p.y, width: 0, height: 0 })));
  const left = Math.min(...boxes.map((box) => box.x));
  const top = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** {scope id: ids of the nodes and flows directly inside}, the process first. */
function scopes(scope, found = new Map()) {
  found.set(scope.id, new Set((scope.flowElements ?? []).map((element) => element.id)));
  for (const element of scope.flowElements ?? []) if (element.$type === 'bpmn:SubProcess') scopes(element, found);
  return found;
}

function plane(scope, elements) {
  for (const element of elements) element.id = `${element.bpmnElement.id}_di`;
  const shown = moddle.create('bpmndi:BPMNPlane', { id: `Plane_${scope.id}`, bpmnElement: scope, planeElement: elements });
  return moddle.create('bpmndi:BPMNDiagram', { id: `Diagram_${scope.id}`, plane: shown });
}

/** The pools one below the other, those of others as empty bands, and the messages between them as straight lines. */
function pools(collaboration, pictures) {
  const elements = [];
  const width = Math.max(...[...pictures.values()].map((inside) => extent(inside).width)) + LABEL + 60;
  let y = 80;
  for (const participant of collaboration.participants) {
    const inside = pictures.get(participant.processRef?.id) ?? [];
    const box = inside.length ? extent(inside) : { x: 0, y: 0, height: 0 };
    for (const element of inside) move(element, 160 + LABEL + 30 - box.x, y + 30 - box.y);
    const bounds = moddle.create('dc:Bounds', { x: 160, y, width, height: box.height + 60 });
    elements.push(moddle.create('bpmndi:BPMNShape', { bpmnElement: participant, isHorizontal: true, bounds }), ...inside);
    y += box.height + 60 + GAP;
  }
  for (const flow of collaboration.messageFlows ?? []) {
    const [from, to] = [flow.sourceRef, flow.targetRef].map((end) => elements.find((e) => e.bpmnElement === end).bounds);
    const x = Math.min(from.x + from.width, to.x + to.width, Math.max(from.x, to.x) + 18);
    const down = from.y < to.y;
    const waypoint = [
      { x, y: down ? from.y + from.height : from.y },
      { x, y: down ? to.y : to.y + to.height },
    ].map((point) => moddle.create('dc:Point', point));
    elements.push(moddle.create('bpmndi:BPMNEdge', { bpmnElement: flow, waypoint }));
  }
  return plane(collaboration, elements);
}

/** The collaboration of the file, or a new one with a pool for each of several processes. */
function collaborationOf(definitions) {
  const drawn = definitions.rootElements.find((element) => element.$type === 'bpmn:Collaboration');
  const processes = processesOf(definitions);
  if (drawn || processes.length === 1) return drawn;
  const participants = processes.map((process) =>
    moddle.create('bpmn:Participant', { id: `Pool_${process.id}`, name: process.name ?? process.id, processRef: process }));
  const made = moddle.create('bpmn:Collaboration', { id: 'Collaboration_1', participants });
  definitions.rootElements.unshift(made);
  return made;
}

/** Pictures refer to another copy of the elements: let them refer to ours. */
function rebind(definitions, elements) {
  const own = new Map();
  const walk = (scope) => (scope.flowElements ?? []).forEach((element) => { own.set(element.id, element); walk(element); });
  processesOf(definitions).forEach(walk);
  for (const element of elements) element.bpmnElement = own.get(element.bpmnElement.id);
}

async function redraw(file) {
  const xml = readFileSync(file, 'utf8');
  const definitions = await read(xml);
  const collaboration = collaborationOf(definitions);
  const top = new Map();
  const inner = [];
  for (const process of processesOf(definitions)) {
    const elements = await picture(xml, process.id);
    rebind(definitions, elements);
    for (const [scope, ids] of scopes(process)) {
      const own = elements.filter((element) => ids.has(element.bpmnElement.id));
      if (scope === process.id) top.set(process.id, own);
      else inner.push(plane(findScope(process, scope), own));
    }
  }
  const [process] = processesOf(definitions);
  const first = collaboration ? pools(collaboration, top) : plane(process, top.get(process.id));
  definitions.diagrams = [first, ...inner];
  definitions.exporter = 'bpmn-js';
  writeFileSync(file, (await moddle.toXML(definitions, { format: true })).xml);
}

function findScope(scope, id) {
  if (scope.id === id) return scope;
  for (const element of scope.flowElements ?? []) {
    const found = element.flowElements && findScope(element, id);
    if (found) return found;
  }
  return undefined;
}

for (const file of process.argv.slice(2)) {
  try { await redraw(file); } catch (error) { console.error(`${file}: ${error.message}`); process.exitCode = 1; }
}
