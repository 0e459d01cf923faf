// The bar on top: name, how much waits, who is here, language, help.
export default {
  template: `
    <header class="kw-top">
      <div class="kw-mark">
        <svg width="26" height="26" viewBox="0 0 26 26" aria-hidden="true">
          <rect x="1" y="1" width="24" height="24" rx="6" fill="#1d4ed8"/>
          <path d="M4 19h18" stroke="#f8fafc" stroke-width="3" stroke-linecap="round"/>
          <circle cx="13" cy="10.5" r="4.2" fill="none" stroke="#f8fafc" stroke-width="2.4"/>
        </svg>
        <span>Kerbwatch</span><small>{{ texts.desk }}</small>
      </div>
      <span class="kw-waiting" role="status" :data-n="waiting">{{ texts.waiting }}</span>
      <span class="kw-space"></span>
      <label class="kw-operator" :title="texts.operatorHint">
        <span>{{ texts.operator }}</span>
        <input type="text" name="operator" maxlength="100" autocomplete="off" spellcheck="false" :value="operator"
               :placeholder="texts.operatorDefault" @change="$emit('operator', $event.target.value)"
               @keydown.enter="$event.target.blur()" @keydown.esc="$event.target.blur()">
      </label>
      <button type="button" class="kw-top-button" data-act="language" :title="texts.languageHint"
              @mousedown.prevent @click="$emit('language', '')">{{ texts.language }}</button>
      <button type="button" class="kw-top-button" data-act="help" aria-keyshortcuts="?"
              @mousedown.prevent @click="$emit('help', '')">{{ texts.help }}</button>
    </header>`,
  props: {
    waiting: { type: Number, default: 0 },
    operator: { type: String, default: "" },
    texts: { type: Object, default: () => ({}) },
  },
  emits: ["operator", "language", "help"],
  mounted() {
    this.nameLoss();
  },
  updated() {
    this.nameLoss();
  },
  methods: {
    nameLoss() {
      // NiceGUI words its own notice of a lost connection once, when the page is served
      const words = [this.texts.lost, this.texts.reconnecting];
      document.querySelectorAll("#popup > span").forEach((span, index) => (span.textContent = words[index]));
    },
  },
};
