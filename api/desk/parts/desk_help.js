// The keys, explained. A native modal dialog: it keeps the focus and closes on Escape by itself.
export default {
  template: `
    <dialog ref="dialog" class="kw-help" :aria-label="texts.title" @close="closed" @click="outside">
      <h2>{{ texts.title }}</h2>
      <dl>
        <template v-for="line in lines" :key="line.text">
          <dt><kbd v-for="key in line.keys" :key="key">{{ key }}</kbd></dt><dd>{{ line.text }}</dd>
        </template>
      </dl>
      <p>{{ texts.note }}</p>
      <form method="dialog"><button class="kw-act">{{ texts.close }}<kbd>Esc</kbd></button></form>
    </dialog>`,
  props: {
    open: { type: Boolean, default: false },
    lines: { type: Array, default: () => [] },
    texts: { type: Object, default: () => ({}) },
  },
  emits: ["closed"],
  mounted() {
    this.follow();
  },
  watch: {
    open() {
      this.follow();
    },
  },
  methods: {
    follow() {
      const dialog = this.$refs.dialog;
      if (this.open && !dialog.open) dialog.showModal();
      if (!this.open && dialog.open) dialog.close();
    },
    closed() {
      if (this.open) this.$emit("closed", "");
    },
    outside(event) {
      if (event.target === this.$refs.dialog) this.$refs.dialog.close();
    },
  },
};
