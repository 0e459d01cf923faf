// The clip of one case: muted, looping, started at once; its controls come with the pointer or the focus.
export default {
  template: `
    <div class="kw-clip">
      <video v-if="url && !broken" :key="url" :src="url" muted autoplay loop playsinline preload="auto" tabindex="0"
             :controls="near" :aria-label="texts.clip" @error="broken = true"
             @mouseenter="near = true" @mouseleave="near = false" @focus="near = true" @blur="near = false"></video>
      <p v-else class="kw-nothing">{{ url ? texts.clipMissing : texts.clipNone }}</p>
    </div>`,
  props: {
    url: { type: String, default: null },
    texts: { type: Object, default: () => ({}) },
  },
  data: () => ({ broken: false, near: false }),
  watch: {
    url() {
      this.broken = false;
    },
  },
};
