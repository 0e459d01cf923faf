// The clip of one case: muted, looping, started at once.
export default {
  template: `
    <div class="kw-clip">
      <video v-if="url && !broken" :key="url" :src="url" muted autoplay loop playsinline controls preload="auto"
             :aria-label="texts.clip" @error="broken = true"></video>
      <p v-else class="kw-nothing">{{ url ? texts.clipMissing : texts.clipNone }}</p>
    </div>`,
  props: {
    url: { type: String, default: null },
    texts: { type: Object, default: () => ({}) },
  },
  data: () => ({ broken: false }),
  watch: {
    url() {
      this.broken = false;
    },
  },
};
