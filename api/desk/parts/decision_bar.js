// What the operator decides. Every decision names the case that was on the screen.
export default {
  template: `
    <div class="kw-bar" role="group" :aria-label="texts.decision">
      <template v-if="rejecting">
        <span class="kw-why">{{ texts.why }}</span>
        <button v-for="(reason, index) in reasons" :key="reason" type="button" class="kw-act kw-reason kw-reject"
                :data-reason="index + 1" @mousedown.prevent @click="act(String(index + 1))">
          <kbd>{{ index + 1 }}</kbd>{{ reason }}
        </button>
        <span class="kw-space"></span>
        <button type="button" class="kw-act" data-act="cancel" @mousedown.prevent @click="act('Escape')">
          {{ texts.cancel }}<kbd>Esc</kbd>
        </button>
      </template>
      <template v-else>
        <template v-if="open">
          <button type="button" class="kw-act kw-confirm" data-act="confirm" aria-keyshortcuts="c"
                  @mousedown.prevent @click="act('c')">{{ texts.confirm }}<kbd>C</kbd></button>
          <button type="button" class="kw-act kw-reject" data-act="reject" aria-keyshortcuts="r"
                  @mousedown.prevent @click="act('r')">{{ texts.reject }}<kbd>R</kbd></button>
        </template>
        <span v-if="decision && !(message && tone === 'bad')" class="kw-said kw-decision" :title="decision">{{ decision }}</span>
        <span class="kw-said kw-message" role="status" aria-live="polite" :data-tone="tone" :title="message">{{ message }}</span>
        <span class="kw-space"></span>
        <button type="button" class="kw-act kw-icon" data-act="previous" aria-keyshortcuts="k" :aria-label="texts.previous"
                :title="texts.previous" @mousedown.prevent @click="act('k')">↑<kbd>K</kbd></button>
        <button type="button" class="kw-act kw-icon" data-act="next" aria-keyshortcuts="j" :aria-label="texts.next"
                :title="texts.next" @mousedown.prevent @click="act('j')">↓<kbd>J</kbd></button>
      </template>
    </div>`,
  props: {
    shown: { type: String, default: null },
    open: { type: Boolean, default: false },
    rejecting: { type: Boolean, default: false },
    reasons: { type: Array, default: () => [] },
    decision: { type: String, default: "" },
    message: { type: String, default: "" },
    tone: { type: String, default: "plain" },
    texts: { type: Object, default: () => ({}) },
  },
  emits: ["press"],
  methods: {
    act(key) {
      this.$emit("press", { key, shown: this.shown });
    },
  },
};
