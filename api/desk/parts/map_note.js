// What the map lacks.
export default {
  template: `<div v-if="note" class="kw-map-note">{{ note }}</div>`,
  props: { note: { type: String, default: "" } },
};
