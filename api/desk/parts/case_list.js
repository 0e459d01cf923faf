// The list of cases: tabs by status, a choice of kind, rows newest first. Keyed rows: what did not change is not
// touched, so that scroll and selection stay where they are while new cases arrive.
export default {
  template: `
    <section class="kw-list" :aria-label="texts.cases">
      <div class="kw-tabs" role="tablist">
        <button v-for="tab in tabs" :key="tab.id" type="button" role="tab" class="kw-tab" :data-tab="tab.id"
                :aria-selected="tab.id === activeTab ? 'true' : 'false'"
                @mousedown.prevent @click="$emit('tab', tab.id)">
          <span class="kw-tab-label">{{ tab.label }}</span><span class="kw-count">{{ tab.count }}</span>
        </button>
      </div>
      <label class="kw-kind">
        <span>{{ texts.kind }}</span>
        <select :value="kind" @change="chooseKind">
          <option v-for="option in kinds" :key="option.id" :value="option.id">{{ option.label }}</option>
        </select>
      </label>
      <div v-if="rows.length" ref="rows" class="kw-rows" role="listbox" tabindex="0" :aria-label="texts.cases"
           :aria-activedescendant="selected ? 'kw-row-' + selected : null">
        <div v-for="row in rows" :key="row.id" :id="'kw-row-' + row.id" class="kw-row" role="option"
             :data-case="row.id" :data-status="row.status" :style="{ '--kind': row.colour }"
             :aria-selected="row.id === selected ? 'true' : 'false'" @click="$emit('pick', row.id)">
          <img v-if="row.thumb" class="kw-thumb" :src="row.thumb" alt="" loading="lazy" decoding="async"
               @error="$event.target.style.visibility = 'hidden'">
          <span v-else class="kw-thumb kw-thumb-none">{{ texts.noPicture }}</span>
          <span class="kw-row-text">
            <span class="kw-row-top">
              <span class="kw-row-kind">{{ row.kind }}</span>
              <span class="kw-row-confidence">{{ row.confidence }}</span>
            </span>
            <span class="kw-row-place" :title="row.place">{{ row.place }}</span>
            <span class="kw-row-end">
              <time>{{ row.time }}</time>
              <span class="kw-chip" :class="'kw-status-' + row.status">{{ row.statusName }}</span>
            </span>
          </span>
        </div>
        <p v-if="texts.more" class="kw-more">{{ texts.more }}</p>
      </div>
      <div v-else class="kw-rows kw-rows-none"><p>{{ texts.empty }}</p></div>
    </section>`,
  props: {
    rows: { type: Array, default: () => [] },
    tabs: { type: Array, default: () => [] },
    kinds: { type: Array, default: () => [] },
    kind: { type: String, default: "" },
    activeTab: { type: String, default: "" },
    selected: { type: String, default: null },
    prefetch: { type: Array, default: () => [] },
    texts: { type: Object, default: () => ({}) },
  },
  emits: ["tab", "kind", "pick"],
  mounted() {
    this.showSelected();
  },
  watch: {
    selected() {
      this.$nextTick(this.showSelected);
    },
    prefetch(urls) {
      for (const url of urls) new Image().src = url;
    },
  },
  methods: {
    chooseKind(event) {
      this.$emit("kind", event.target.value);
      event.target.blur(); // the keys belong to the cases again
    },
    showSelected() {
      const row = this.selected && document.getElementById("kw-row-" + this.selected);
      if (row) row.scrollIntoView({ block: "nearest" });
    },
  },
};
