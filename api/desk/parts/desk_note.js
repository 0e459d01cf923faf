// Nothing to show, or trouble: a headline and a sentence.
export default {
  template: `
    <div v-if="title" :class="alarm ? 'kw-alarm' : 'kw-none'" :role="alarm ? 'alert' : 'status'">
      <h1 v-if="!alarm">{{ title }}</h1><b v-else>{{ title }}</b>
      <p>{{ more }}</p>
    </div>`,
  props: {
    title: { type: String, default: "" },
    more: { type: String, default: "" },
    alarm: { type: Boolean, default: false },
  },
};
