// The pictures and the clip of one case. The box is drawn in the evidence itself: nothing is drawn over it here.
// Every picture is a new element (keyed by its address): the old one never stands beside the facts of the next case.
export default {
  template: `
    <div class="kw-stage">
      <figure class="kw-picture">
        <img v-if="current && !broken" :key="current.url" :src="current.url" :alt="current.alt" @error="broken = true">
        <p v-else class="kw-nothing">{{ current ? texts.pictureMissing : texts.pictureNone }}</p>
      </figure>
      <div class="kw-picture-tabs" role="tablist">
        <button v-for="(picture, index) in pictures" :key="picture.role" type="button" role="tab" class="kw-pill"
                :data-role="picture.role" :aria-selected="index === at ? 'true' : 'false'"
                @mousedown.prevent @click="$emit('picture', index)">{{ picture.label }}</button>
      </div>
    </div>`,
  props: {
    pictures: { type: Array, default: () => [] },
    at: { type: Number, default: 0 },
    texts: { type: Object, default: () => ({}) },
  },
  emits: ["picture"],
  data: () => ({ broken: false }),
  computed: {
    current() {
      return this.pictures[this.at] || this.pictures[0];
    },
  },
  watch: {
    "current.url"() {
      this.broken = false;
    },
  },
};
