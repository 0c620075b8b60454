// What there is to know about ten mushrooms, for people.

export const SPECIES = [
  { id: 'fly-agaric', name: 'Fly agaric', latin: 'Amanita muscaria', verdict: 'poisonous', season: 'August to November', note: 'The one of fairy tales. Rain can wash the white warts off.' },
  { id: 'death-cap', name: 'Death cap', latin: 'Amanita phalloides', verdict: 'deadly', season: 'July to November', note: 'Half a cap is enough. It tastes mild and the harm shows only after half a day.' },
  { id: 'destroying-angel', name: 'Destroying angel', latin: 'Amanita virosa', verdict: 'deadly', season: 'July to October', note: 'All white, and mistaken for field mushrooms when young.' },
  { id: 'field-mushroom', name: 'Field mushroom', latin: 'Agaricus campestris', verdict: 'edible', season: 'June to November', note: 'Its gills are pink, then chocolate brown, never white.' },
  { id: 'parasol', name: 'Parasol', latin: 'Macrolepiota procera', verdict: 'edible', season: 'July to November', note: 'The ring can be moved up and down the snake-skin stem.' },
  { id: 'chanterelle', name: 'Chanterelle', latin: 'Cantharellus cibarius', verdict: 'edible', season: 'June to November', note: 'Blunt ridges run down the stem. It smells of apricots.' },
  { id: 'false-chanterelle', name: 'False chanterelle', latin: 'Hygrophoropsis aurantiaca', verdict: 'inedible', season: 'August to November', note: 'Thin crowded true gills, and no smell of apricots.' },
  { id: 'penny-bun', name: 'Penny bun', latin: 'Boletus edulis', verdict: 'edible', season: 'July to November', note: 'Also called cep or porcini. A white net covers the top of the stem.' },
  { id: 'satans-bolete', name: "Satan's bolete", latin: 'Rubroboletus satanas', verdict: 'poisonous', season: 'July to September', note: 'A chalk-white cap over blood-red pores, with a smell of carrion when old.' },
  { id: 'liberty-cap', name: 'Liberty cap', latin: 'Psilocybe semilanceata', verdict: 'poisonous', season: 'August to November', note: 'A small pointed cap in grazed grass. Forbidden in most countries.' },
]
