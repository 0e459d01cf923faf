// What is known of a case: names and values.
export default {
  template: `
    <dl class="kw-card kw-facts">
      <div v-for="fact in facts" :key="fact[0]" class="kw-fact"><dt>{{ fact[0] }}</dt><dd>{{ fact[1] }}</dd></div>
    </dl>`,
  props: { facts: { type: Array, default: () => [] } },
};
