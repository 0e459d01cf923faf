// What is on the screen, in one line.
export default {
  template: `
    <div class="kw-head" :style="{ '--kind': colour }">
      <span class="kw-head-kind"><h1 :title="title">{{ title }}</h1></span>
      <span class="kw-chip" :class="'kw-status-' + status">{{ statusName }}</span>
      <span class="kw-space"></span>
      <span class="kw-head-time">{{ time }}</span>
    </div>`,
  props: {
    title: { type: String, default: "" },
    colour: { type: String, default: "#475569" },
    status: { type: String, default: "" },
    statusName: { type: String, default: "" },
    time: { type: String, default: "" },
  },
};
