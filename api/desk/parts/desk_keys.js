// Keys of the desk. Every press names the case that was on the screen: a verdict is never given to a case that came
// up while the finger was already on its way down.
const SETTLE_MS = 250;
const TYPING = ["INPUT", "TEXTAREA", "SELECT"];
const OWN_ENTER = ["BUTTON", "A", "VIDEO", "SUMMARY"];
const ARROWS = ["ArrowUp", "ArrowDown"];

export default {
  template: "<span hidden></span>",
  props: {
    shown: { type: String, default: null },
    keys: { type: Array, default: () => [] },
    verdicts: { type: Array, default: () => [] },
  },
  emits: ["press"],
  data: () => ({ shownAt: 0 }),
  watch: {
    shown() {
      this.shownAt = performance.now();
    },
  },
  mounted() {
    document.addEventListener("keydown", this.press);
  },
  unmounted() {
    document.removeEventListener("keydown", this.press);
  },
  methods: {
    press(event) {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !this.keys.includes(key)) return;
      if (this.belongsElsewhere(event.target, key)) return;
      const verdict = this.verdicts.includes(key);
      if (verdict && (event.repeat || performance.now() - this.shownAt < SETTLE_MS)) return;
      if (ARROWS.includes(key) || key === "Enter") event.preventDefault();
      this.$emit("press", { key, shown: this.shown });
    },
    belongsElsewhere(focus, key) {
      // where the press began: a field that gives its focus up on Enter must not hand the same Enter on to the case
      if (TYPING.includes(focus.tagName) || focus.isContentEditable) return true;
      if (key === "Enter") return OWN_ENTER.includes(focus.tagName);
      return ARROWS.includes(key) && focus.tagName === "VIDEO";
    },
  },
};
