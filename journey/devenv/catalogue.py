"""The demo catalogue: some pages of articles, a few with little stock, and one out of stock.

Long because it is a list.
"""

from typing import NamedTuple

PIECES_EACH = 10_000
_SOME = 250


class CatalogueEntry(NamedTuple):
    """`cents`: price in euro cents. `pieces`: initial stock."""

    sku: str
    title: str
    category: str
    cents: int
    pieces: int
    description: str


# Never out of stock: the demo, the benchmark and the tests order thousands of them.
_STAPLES = (
    CatalogueEntry(
        "KETTLE-BLUE",
        "Kettle, blue",
        "kitchen",
        29_90,
        PIECES_EACH,
        "Enamelled steel, 1.7 litres, for every kind of stove. It sings before it boils over.",
    ),
    CatalogueEntry(
        "CUP-WHITE",
        "Cup, white",
        "kitchen",
        8_90,
        PIECES_EACH,
        "Thin porcelain with its saucer, made to hold exactly one quiet moment.",
    ),
    CatalogueEntry(
        "TEA-GREEN",
        "Green tea, 100 g",
        "tea",
        4_20,
        PIECES_EACH,
        "Whole leaves, steamed and rolled. Give it water well below the boil and two minutes.",
    ),
    CatalogueEntry(
        "TEA-BLACK",
        "Black tea, 100 g",
        "tea",
        3_80,
        PIECES_EACH,
        "Dark and round, for the morning. It takes milk, and it forgives a forgotten timer.",
    ),
    CatalogueEntry(
        "LAMP-DESK",
        "Desk lamp",
        "living",
        45_90,
        PIECES_EACH,
        "Two joints, one warm light, and a foot that stays where it is put.",
    ),
    CatalogueEntry(
        "CLOCK-WALL",
        "Wall clock",
        "living",
        31_50,
        PIECES_EACH,
        "A plain face that is read from across the room. The hand for the seconds glides and does not tick.",
    ),
)
STAPLES = tuple(article.sku for article in _STAPLES)

_KITCHEN = (
    CatalogueEntry(
        "TEAPOT-RED",
        "Teapot, red",
        "kitchen",
        34_50,
        _SOME,
        "Stoneware for four cups, with a spout that does not drip. The lid stays on while it pours.",
    ),
    CatalogueEntry(
        "MUG-TEAL",
        "Mug, teal with dots",
        "kitchen",
        11_90,
        _SOME,
        "A third of a litre, and a handle for three fingers. No two have their dots in the same places.",
    ),
    CatalogueEntry(
        "BOWL-FRUIT",
        "Fruit bowl, blue",
        "kitchen",
        24_90,
        _SOME,
        "Thrown by hand and glazed inside and out. Wide enough for what the market had.",
    ),
    CatalogueEntry(
        "BOARD-OAK",
        "Bread board, oak",
        "kitchen",
        27_50,
        _SOME,
        "One piece of oak, oiled twice. The knife comes with it.",
    ),
    CatalogueEntry(
        "SPOONS-WOOD",
        "Cooking spoons, in a green crock",
        "kitchen",
        16_80,
        _SOME,
        "Two for stirring and one for turning, all of beech. The crock keeps them within reach.",
    ),
    CatalogueEntry(
        "SAMOVAR-RARE",
        "Brass samovar, always sold out",
        "kitchen",
        189_00,
        0,
        "Everybody wants it and nobody has it. Order one to see how an order ends for which there are no goods.",
    ),
)
_TEA = (
    CatalogueEntry(
        "TEA-BERGAMOT",
        "Bergamot tea, in a yellow tin",
        "tea",
        4_60,
        _SOME,
        "Black leaves with the oil of real bergamot. The afternoon begins when the tin is opened.",
    ),
    CatalogueEntry(
        "TEA-MINT",
        "Mint tea, in a teal tin",
        "tea",
        3_40,
        _SOME,
        "Nothing but leaves of peppermint, cut coarsely. As good cold as it is hot.",
    ),
    CatalogueEntry(
        "TEA-ROOIBOS",
        "Rooibos tea, in a red tin",
        "tea",
        3_90,
        _SOME,
        "Sweet by itself and free of caffeine, so it can be the last cup of the day.",
    ),
    CatalogueEntry(
        "TEA-JASMINE",
        "Jasmine tea, in a white tin",
        "tea",
        6_20,
        8,
        "Green leaves that have lain among blossoms for three nights. The next harvest is far off.",
    ),
)
_PANTRY = (
    CatalogueEntry(
        "HONEY-LIME",
        "Lime blossom honey, 250 g",
        "pantry",
        7_80,
        _SOME,
        "From avenues of old lime trees, still fluid in spring. Slightly minty, as it should be.",
    ),
    CatalogueEntry(
        "JAM-PLUM",
        "Plum jam, 200 g",
        "pantry",
        5_40,
        _SOME,
        "Plums, little sugar, a long afternoon on the stove. There is a hint of cinnamon.",
    ),
    CatalogueEntry(
        "COFFEE-DARK",
        "Coffee beans, dark roast",
        "pantry",
        9_90,
        _SOME,
        "Roasted slowly until they taste of cocoa. Half a pound, with a clip to close the bag.",
    ),
    CatalogueEntry(
        "OIL-OLIVE",
        "Olive oil, half a litre",
        "pantry",
        12_40,
        _SOME,
        "Cold pressed within a day of picking. Peppery at the end, the way fresh oil is.",
    ),
)
_LIVING = (
    CatalogueEntry(
        "CHAIR-OAK",
        "Chair, terracotta and oak",
        "living",
        129_00,
        40,
        "Four honest legs, and a back that follows yours. It is taken apart with a single key.",
    ),
    CatalogueEntry(
        "VASE-ROSE",
        "Vase, rose",
        "living",
        28_00,
        4,
        "A narrow neck, so that five stems already look like a bunch.",
    ),
    CatalogueEntry(
        "CANDLE-WAX",
        "Beeswax candle, yellow",
        "living",
        14_50,
        _SOME,
        "Burns for forty hours and smells of summer. The plate under it is brass.",
    ),
    CatalogueEntry(
        "LANTERN-COPPER",
        "Copper lantern",
        "living",
        39_00,
        7,
        "For the balcony, the table or the way to the shed. The wind stays outside.",
    ),
    CatalogueEntry(
        "BASKET-WILLOW",
        "Willow basket",
        "living",
        33_00,
        _SOME,
        "Woven of unpeeled willow, with a handle that does not creak. Holds a picnic, or much wool.",
    ),
    CatalogueEntry(
        "MIRROR-OVAL",
        "Oval mirror, purple",
        "living",
        74_00,
        3,
        "As tall as a face and a half. It hangs from one nail, and it hangs straight.",
    ),
)
_TEXTILES = (
    CatalogueEntry(
        "BLANKET-WOOL",
        "Wool blanket, plum",
        "textiles",
        89_00,
        60,
        "Lambswool, woven double, with a fringe to play with. Room for two who do not quarrel.",
    ),
    CatalogueEntry(
        "CUSHION-MUSTARD",
        "Cushion, mustard",
        "textiles",
        26_90,
        _SOME,
        "Heavy linen with four stripes, filled with down. The cover comes off and is washed cold.",
    ),
    CatalogueEntry(
        "TOWEL-TEA",
        "Tea towel, blue",
        "textiles",
        7_50,
        _SOME,
        "Half linen, so that glasses come out without a trace. It gets better every year.",
    ),
    CatalogueEntry(
        "APRON-LINEN",
        "Linen apron, green",
        "textiles",
        31_00,
        _SOME,
        "One size, long ties, and a pocket for the thermometer.",
    ),
)
_GARDEN = (
    CatalogueEntry(
        "PLANT-RUBBER",
        "Rubber plant, in a white pot",
        "garden",
        22_00,
        90,
        "Wants a bright corner, a little water, and to be left alone. It will outgrow you.",
    ),
    CatalogueEntry(
        "POT-CLAY",
        "Clay pot, with a seedling",
        "garden",
        6_90,
        _SOME,
        "Fired without glaze, so the roots can breathe. What grows in it is a surprise.",
    ),
    CatalogueEntry(
        "CAN-GARDEN",
        "Watering can, terracotta",
        "garden",
        36_00,
        _SOME,
        "Five litres of painted zinc with a fine rose. It balances when it is full, too.",
    ),
    CatalogueEntry(
        "TROWEL-ASH",
        "Garden trowel",
        "garden",
        15_90,
        _SOME,
        "Forged in one piece and sharpened along both edges. The handle is turned ash.",
    ),
    CatalogueEntry(
        "SEEDS-POPPY",
        "Poppy seeds, red",
        "garden",
        2_90,
        _SOME,
        "Throw them on bare earth in March and forget about them. In June you remember.",
    ),
    CatalogueEntry(
        "HOUSE-BIRD",
        "Bird house, with a blue roof",
        "garden",
        42_00,
        9,
        "For tits and sparrows: the door is 32 millimetres wide, and the cat stays hungry.",
    ),
)
_DESK = (
    CatalogueEntry(
        "NOTEBOOK-GREY",
        "Notebook, charcoal",
        "desk",
        13_50,
        _SOME,
        "A hundred and sixty blank pages that lie flat, a ribbon, and an elastic band.",
    ),
    CatalogueEntry(
        "PENCILS-SIX",
        "Six pencils, in a white cup",
        "desk",
        9_80,
        _SOME,
        "Cedar, soft lead, no varnish to chew off. The cup is theirs.",
    ),
    CatalogueEntry(
        "BOOK-TALES",
        "Book of short tales",
        "desk",
        18_00,
        _SOME,
        "Twenty-four of them, none longer than a pot of tea. The last one explains the first.",
    ),
    CatalogueEntry(
        "PAPER-LETTER",
        "Letter paper and envelopes, rose",
        "desk",
        12_00,
        _SOME,
        "Twenty sheets and twenty envelopes. Somebody would like to hear from you.",
    ),
    CatalogueEntry(
        "INK-VIOLET",
        "Ink with a dip pen, purple",
        "desk",
        21_00,
        _SOME,
        "Dries quickly and does not fade. The nib writes fine or broad, as you press.",
    ),
)
_BATH = (
    CatalogueEntry(
        "SOAP-OLIVE",
        "Olive soap",
        "bath",
        5_80,
        _SOME,
        "Boiled in a copper kettle and left to dry for half a year. It lathers more than one would think.",
    ),
    CatalogueEntry(
        "BRUSH-NAIL",
        "Nail brush, mustard",
        "bath",
        8_20,
        _SOME,
        "Soft on one side of the day, strict after the garden. Beech, with a loop to hang it by.",
    ),
    CatalogueEntry(
        "TOWEL-BATH",
        "Bath towel, teal",
        "bath",
        29_00,
        _SOME,
        "Thick cotton, large enough to disappear in. Warm it on the radiator first.",
    ),
)
CATALOGUE = (*_STAPLES, *_KITCHEN, *_TEA, *_PANTRY, *_LIVING, *_TEXTILES, *_GARDEN, *_DESK, *_BATH)
