// What the map shows and what it lacks.
export default {
  template: `<div class="kw-map-note"><span :title="place">{{ place }}</span><span :title="note">{{ note }}</span></div>`,
  props: { place: { type: String, default: "" }, note: { type: String, default: "" } },
};
