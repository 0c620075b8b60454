// A toy classifier: naive Bayes over seven traits, with hand-written likelihoods. The same traits give
// the same answer, always. It knows ten species and nothing about real mushrooms: do not eat by it.

/** How likely each species shows a trait; what is not named has a small share. */
const LIKELIHOODS = {
  'fly-agaric': {
    cap: { convex: 6, flat: 3 },
    color: { red: 8, orange: 2 },
    under: { gills: 9 },
    ring: { yes: 9 },
    volva: { yes: 8 },
    surface: { warts: 9 },
    habitat: { birch: 6, conifer: 4 },
  },
  'death-cap': {
    cap: { convex: 6, flat: 4 },
    color: { green: 7, yellow: 2, white: 1 },
    under: { gills: 9 },
    ring: { yes: 9 },
    volva: { yes: 9 },
    surface: { smooth: 8 },
    habitat: { oak: 7, beech: 3 },
  },
  'destroying-angel': {
    cap: { convex: 6, conical: 4 },
    color: { white: 9 },
    under: { gills: 9 },
    ring: { yes: 8 },
    volva: { yes: 9 },
    surface: { smooth: 9 },
    habitat: { beech: 5, oak: 3, birch: 2 },
  },
  'field-mushroom': {
    cap: { convex: 6, flat: 4 },
    color: { white: 8, brown: 2 },
    under: { gills: 9 },
    ring: { yes: 8 },
    volva: { no: 9 },
    surface: { smooth: 6, scales: 3 },
    habitat: { meadow: 9 },
  },
  parasol: {
    cap: { flat: 6, convex: 3 },
    color: { brown: 7, white: 3 },
    under: { gills: 9 },
    ring: { yes: 9 },
    volva: { no: 8 },
    surface: { scales: 9 },
    habitat: { meadow: 7, oak: 2 },
  },
  chanterelle: {
    cap: { funnel: 8, flat: 2 },
    color: { yellow: 7, orange: 3 },
    under: { ridges: 9 },
    ring: { no: 9 },
    volva: { no: 9 },
    surface: { smooth: 8 },
    habitat: { conifer: 4, beech: 4, oak: 2 },
  },
  'false-chanterelle': {
    cap: { funnel: 7, flat: 3 },
    color: { orange: 8, yellow: 1 },
    under: { gills: 8, ridges: 1 },
    ring: { no: 9 },
    volva: { no: 9 },
    surface: { smooth: 7 },
    habitat: { conifer: 9 },
  },
  'penny-bun': {
    cap: { convex: 9 },
    color: { brown: 9 },
    under: { pores: 9 },
    ring: { no: 9 },
    volva: { no: 9 },
    surface: { smooth: 8 },
    habitat: { conifer: 4, beech: 3, oak: 3 },
  },
  'satans-bolete': {
    cap: { convex: 8 },
    color: { white: 7, green: 1 },
    under: { pores: 9 },
    ring: { no: 9 },
    volva: { no: 9 },
    surface: { smooth: 7 },
    habitat: { oak: 5, beech: 5 },
  },
  'liberty-cap': {
    cap: { conical: 9 },
    color: { brown: 6, yellow: 3 },
    under: { gills: 9 },
    ring: { no: 8 },
    volva: { no: 9 },
    surface: { slimy: 7, smooth: 2 },
    habitat: { meadow: 9 },
  },
}

const CHOICES = {
  cap: ['convex', 'flat', 'conical', 'funnel'],
  color: ['red', 'orange', 'yellow', 'brown', 'green', 'white'],
  under: ['gills', 'pores', 'ridges'],
  ring: ['yes', 'no'],
  volva: ['yes', 'no'],
  surface: ['smooth', 'warts', 'scales', 'slimy'],
  habitat: ['birch', 'beech', 'oak', 'conifer', 'meadow'],
}
const UNSEEN = 1

/** What is wrong with the traits, or undefined. */
export function problemOf(traits) {
  if (typeof traits !== 'object' || traits === null) return 'traits must be an object'
  for (const [name, value] of Object.entries(traits)) {
    if (!Object.hasOwn(CHOICES, name)) return `unknown trait: ${name}`
    if (!CHOICES[name].includes(value)) return `${name} must be one of ${CHOICES[name].join(', ')}`
  }
  return Object.keys(traits).length === 0 ? 'no trait was given' : undefined
}

/** Every species with its probability, the likeliest first. */
export function classify(traits) {
  const scores = Object.entries(LIKELIHOODS).map(([species, table]) => {
    const logs = Object.entries(traits).map(([name, value]) => {
      const weights = CHOICES[name].map((choice) => table[name][choice] ?? UNSEEN)
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      return Math.log((table[name][value] ?? UNSEEN) / total)
    })
    return { species, log: logs.reduce((sum, log) => sum + log, 0) }
  })
  const top = Math.max(...scores.map(({ log }) => log))
  const sum = scores.reduce((total, { log }) => total + Math.exp(log - top), 0)
  return scores
    .map(({ species, log }) => ({ species, probability: round(Math.exp(log - top) / sum) }))
    .sort((a, b) => b.probability - a.probability)
}

function round(value) {
  return Math.round(value * 1e4) / 1e4
}
