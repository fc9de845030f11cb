"""Phrases, words and quantities of market news, with the weight of each.

A weight is from -4 (very bad) to 4 (very good), as in VADER's lexicon. Patterns match lower-case
text in which typographic apostrophes and dashes are plain; a phrase is matched before its words.
Patterns have no words that are unlimited in number, so matching takes linear time.
"""

import re

_GAP = r"(?:[\w$%.'-]+ ){0,4}?"
"""Up to four words."""
_ADJECTIVES = r"(?:(?!(?:amid|over|on|after|as|to|by|in|from|with) )\w+ ){0,3}?"
"""Up to three words within one group of words."""
_EXPECTED = (
    r"(?:expected|forecasts?|feared|estimated?|estimates|expectations|anticipated|consensus|views?"
    r"|predicted|hoped|thought|hopes)"
)
_EXPECTERS = (
    r"(?:analysts?'? |economists?'? |wall street'?s? |the street'?s? |market'?s? |consensus |had |the "
    r"|profit |sales |earnings |revenue |all |quarterly |annual |investors?'? )*"
)

PHRASES: tuple[tuple[str, float], ...] = (
    # Nothing has happened.
    (r"(?:in line|in-line) with \w*\s?\w*", 0.0),
    (r"as (?:widely )?(?:expected|forecast|planned|scheduled|anticipated)", 0.0),
    (r"(?:rates?|sales|profit|earnings|revenue|dividend|guidance|outlook|prices|shares?|stocks?) "
     r"(?:is |are |was |were |holds? |stays? |left |ends? |closes? |trades? )?"
     r"(?:unchanged|steady|flat|little changed|stable|mixed)", 0.0),
    (r"(?:leaves?|holds?|keeps?|kept|left) " + _GAP + r"(?:unchanged|steady|on hold)", 0.0),
    (r"(?:reiterates?|confirms?|maintains?|affirms?|backs?|keeps?) (?:its |their )?"
     r"(?:full-year |annual |\d+ )?(?:guidance|outlook|forecasts?|targets?|rating|neutral|hold)\b", 0.0),
    (r"(?:share|stock) (?:split|capital)|rights? (?:notice|to vote)|voting rights", 0.0),
    (r"short selling (?:works|rules?|explained)|(?:at|by) the bell|before the bell", 0.0),
    (r"(?:interest|mortgage) (?:rate )?(?:decision|statement|meeting)", 0.0),
    (r"profit and loss|gains? and losses|winners and losers|risks? and rewards?", 0.0),
    (r"(?:quarterly|regular|interim|annual|final|monthly) (?:cash )?dividend\b(?! (?:cut|rise|hike|increase))", 0.0),
    (r"stock exchange|stock market holiday|ex-dividend|strike price|call options?|put options?|fire sale prices?|gross margin", 0.0),
    # Results against what was expected.
    (r"(?:profit|earnings|revenue|sales) (?:warning|alert)s?", -3.0),
    (r"(?:warns?|warned|warning|cautions?|cautioned)(?: (?:on|of|about|over|that))?", -1.8),
    (r"(?:rare |surprise |big |slight |earnings |revenue |profit |sales |estimates? )+miss(?:es)?\b", -2.6),
    (r"miss(?:es|ed|ing)? " + _GAP + _EXPECTED, -2.8),
    (r"miss(?:es|ed)? (?:on|by)\b|\bmiss(?:es)?\b(?= (?:for|at|as|on))", -2.4),
    (r"fall(?:s|ing|en)? short|fell short|came up short|comes? up short", -2.6),
    (r"(?:below|under|short of|shy of|behind) " + _EXPECTERS + _EXPECTED, -2.2),
    (r"(?:worse|weaker|softer|slower|poorer|bleaker)[- ]than[- ]" + _EXPECTERS + _EXPECTED, -2.6),
    (r"(?:beats?|beating|tops?|topped|topping|exceeds?|exceeded|surpass(?:es|ed)?|smash(?:es|ed)?"
     r"|trounc(?:es|ed)|crush(?:es|ed)|blows? past|blew past|sails? past|outstrips?) " + _GAP
     + r"(?:" + _EXPECTED + r"|guidance|targets?|outlook|records?)", 2.8),
    (r"(?:profit|earnings|revenue|sales|estimates?|double) beats?\b", 2.6),
    (r"(?:above|ahead of|past|over) " + _EXPECTERS
     + r"(?:expectations|forecasts?|estimates|guidance|consensus|target)", 2.2),
    (r"(?:better|stronger|faster|milder|rosier|healthier)[- ]than[- ]" + _EXPECTERS + _EXPECTED, 2.6),
    (r"(?:less|smaller|narrower|fewer)(?: \w+)?[- ](?:than|bad)[- ](?:\w+ ){0,2}?feared", 2.8),
    (r"less (?:bad|severe|painful) than " + _EXPECTERS + _EXPECTED, 2.4),
    (r"(?:not|n't) as (?:bad|severe) as (?:feared|expected)", 2.4),
    (r"(?:ahead of|before|under) (?:schedule|plan|budget)|earlier than (?:planned|expected)", 1.8),
    (r"(?:behind schedule|over budget|later than planned)", -1.8),
    # Profit and loss.
    (r"(?:swings?|swung|returns?|returned|turns?|moves?|back|bounces?) (?:back )?(?:in)?to (?:a |an )?"
     r"(?:\w+ ){0,2}?(?:profit|profitability|black|growth)\b", 2.6),
    (r"(?:turns?|turned|posts?|posted|books?|reports?|reported) (?:its |a |an )?(?:first|maiden|surprise"
     r"|unexpected|rare) (?:\w+ )?profit\b|turns? profitable|breaks? even|break(?:ing)? even", 2.4),
    (r"(?:swings?|swung|slips?|slides?|falls?|fell|sinks?|plunges?|turns?|back) (?:back )?(?:in)?to "
     r"(?:a |an )?(?:\w+ ){0,2}?(?:loss|losses|red)\b", -2.8),
    (r"(?:surprise|unexpected|first|rare|posts?|posted|reports?|reported|books?) (?:\w+ )?"
     r"(?:net |quarterly |annual )?loss\b", -2.2),
    (r"profit[- ]taking", -1.6),
    # Analysts and ratings.
    (r"(?:downgrad(?:es?|ed|ing))|cut to (?:sell|hold|neutral|junk|underweight|underperform)", -2.4),
    (r"(?:upgrad(?:es?|ed|ing))(?! (?:of|to) (?:its|the|their) )", 2.4),
    (r"(?:raised|lifted|upgraded) to (?:buy|overweight|outperform|investment)", 2.4),
    (r"(?:to|at|with|of) (?:a |an )?['\"]?(?:buy|overweight|outperform|strong buy)['\"]?(?: rating)?\b", 1.6),
    (r"(?:to|at|with) (?:a |an )?['\"]?(?:sell|underweight|underperform|reduce)['\"]?(?: rating)?\b", -1.8),
    (r"(?:in)?to junk|junk (?:status|rating|territory)", -2.4),
    (r"(?:to |regains? )?investment[- ]grade", 1.8),
    (r"(?:outlook|view) (?:raised |lifted |revised |changed )?to positive", 2.2),
    (r"(?:outlook|view) (?:cut |lowered |revised |changed )?to negative", -2.2),
    # Prices.
    (r"(?:rebounds?|recovers?|bounces?|rallies|climbs?|up) (?:from|off|back from) ", 1.8),
    (r"gives? up (?:\w+ )?gains|gave up (?:\w+ )?gains|pares? gains|eras(?:es|ed|ing) gains", -2.0),
    (r"(?:pares?|trims?|recoups?|eras(?:es|ed)|recovers?|wipes? out) (?:\w+ )?losses", 1.8),
    (r"sells? ?-?off|sold off|selloffs?|fire sale|bear market|death cross|profit slump", -2.4),
    (r"bull market|golden cross|short squeeze|risk appetite|all-time high|record high|new peak|fresh high", 2.2),
    (r"short[- ]sellers? (?:\w+ )?(?:retreat|cover|close|capitulate|lose|exit|back|burn|squeez|flee|give)\w*"
     r"|(?:close|cover|end|exit)\w* (?:\w+ )?(?:short )?bets? against", 2.0),
    (r"(?:short[- ](?:seller'?s?|sellers'?|report|attack|bets?))", -2.2),
    # Capital.
    (r"(?:suspend|halt|scrap|cancel|paus|ax|drop|omit|eliminat|stop|shelv)\w* (?:its |the |their )?"
     r"(?:\w+ )?(?:buy-?backs?|share repurchases?|dividends?|payouts?)"
     r"|(?:buy-?backs?|repurchases?|dividends?|payouts?) (?:is |are )?(?:suspended|scrapped|halted|cut|paused"
     r"|cancelled|canceled|axed|omitted)", -2.6),
    (r"(?:buy-?backs?|(?:share|stock) repurchases?|special dividend)", 2.0),
    (r"(?:dividend|payout) (?:hike|increase|rise|boost|growth)|(?:lift|rais|hik|boost|increas|doubl)\w* "
     r"(?:its |the )?(?:\w+ )?(?:dividend|payout)", 2.4),
    (r"(?:oversubscribed|well received|prices? (?:\w+ )?above)", 1.8),
    (r"(?:dilut(?:es|ive|ion|ing)|rights issue|discounted (?:share|placing))", -1.6),
    # Deals.
    (r"(?:takeover|merger|buyout|deal|acquisition|bid|talks?)\w* (?:\w+ )?(?:collaps|fail|end|fall apart|fell"
     r" apart|block|reject|scrap|abandon|unravel|terminat)\w*|call(?:s|ed)? off (?:\w+ )?(?:merger|deal|talks)"
     r"|walks? away from", -2.4),
    (r"(?:block|oppos|reject|halt|su\w+ to (?:stop|block))\w* (?:\w+ )?(?:\w+ )?(?:takeover|merger|deal"
     r"|acquisition|buyout|sale)\b", -2.2),
    (r"(?:takeover|buyout|acquisition) (?:offer|bid|interest|approach)|bid at|at (?:a |an )?(?:\S+ )?premium", 2.0),
    (r"(?:reach|strik|clinch|agre|seal|sign)\w* (?:a |an |on )?(?:\w+ )?(?:\w+ )?(?:deal|agreement|pact|truce)", 1.8),
    (r"(?:wins?|won|lands?|landed|secures?|secured|bags?|clinch(?:es|ed)?|awarded|nets?) " + _GAP
     + r"(?:contracts?|orders?|deals?|approval|case|backing|funding|tender|increase|licen[cs]e|appeal)", 2.4),
    (r"(?:loses?|lost|losing) " + _GAP + r"(?:contracts?|orders?|customers?|clients?|case|appeal|patent|battle"
     r"|licen[cs]e|ground|market|lawsuit|suit|bid|subscribers|users|share)", -2.2),
    (r"(?:guidance|outlook|forecast|shares?|trading|production|listing) (?:is |are )?(?:suspended|withdrawn|halted"
     r"|pulled)", -2.2),
    # Regulators and courts.
    (r"(?:fda|regulators?|ema|eu|court|authorit\w+|agency) (?:\w+ )?(?:approv|clear|green-?light|back)\w*"
     r"|(?:grant|win|won|get|gain|receiv)\w* (?:\w+ )?(?:\w+ )?(?:approval|clearance|go-ahead|green light)", 2.4),
    (r"(?:reject|den(?:y|ie)|refus|withh\w+|delay)\w* (?:\w+ )?(?:approval|application|licen[cs]e)"
     r"|complete response letter", -2.4),
    (r"(?:dismiss|throw\w* out|threw out|toss|drop|clos|end|clear\w* (?:\w+ )?(?:of|in)|settl|resolv|overturn|quash)"
     r"\w* " + _GAP + r"(?:suits?|lawsuits?|case|charges|class action|probes?|investigations?|inquiry|dispute"
     r"|litigation|complaint|claims|penalty|fine|ban)\b", 2.2),
    (r"(?:uphold|upheld|upholds) " + _GAP + r"(?:penalty|fine|ban|conviction|ruling against)", -2.4),
    (r"(?:lift|eas|remov|scrap|roll\w* back|end|drop|cut|lower|suspend|delay|exempt)\w* " + _ADJECTIVES + r"(?:tariffs?"
     r"|sanctions|bans?|curbs|restrictions|duties|capital rules|embargo)", 2.0),
    (r"(?:tariffs?|sanctions|bans?|curbs|restrictions|duties|embargo) (?:\w+ ){0,4}?(?:lifted|eased|removed"
     r"|scrapped|dropped|suspended|delayed|relaxed)", 2.0),
    (r"(?:tariffs?|sanctions?|curbs|restrictions|embargo|ban on)", -1.4),
    (r"(?:antitrust|class[- ]action|patent|criminal|civil) (?:suit|lawsuit|case|charges|probe|complaint)", -2.2),
    # Trouble, and its end.
    (r"(?:emerg|exit|escap)\w* (?:from )?(?:\w+ )?(?:bankruptcy|chapter 11|administration|insolvency|recession)", 2.4),
    (r"(?:files?|filed|filing|seeks?|sought|heads?|enters?|forced) " + _GAP
     + r"(?:bankruptcy|chapter 11|chapter 7|creditor protection|administration|liquidation|insolvency)"
     r"(?: protection)?", -3.2),
    (r"(?:chapter 11|creditor protection|going concern|insolven\w+)", -2.8),
    (r"(?:avert|avoid|dodg|escap|narrowly avoid|prevent|rule out|rul\w+ out|stav\w+ off|shrug\w* off)\w* "
     r"(?:a |an |the |any )?(?:\w+ ){0,3}?(?:strike|default|bankruptcy|shutdown|recession|downgrade|tariffs?"
     r"|layoffs|loss|crisis|collapse|delisting|fine|cuts|losses|fears|concerns)", 2.2),
    (r"(?:default(?:s|ed|ing)?) on|in default|debt default|misses? (?:\w+ )?(?:payment|coupon|deadline)", -2.8),
    (r"(?:lay|lays|laid|laying) off|job (?:cuts?|losses)|(?:cut|cuts|cutting|slash|slashes|axe|axes|shed|sheds"
     r"|eliminat\w+) (?:\S+ ){0,4}?(?:jobs|staff|workforce|workers|positions|employees|headcount)", -2.2),
    (r"(?:add|creat|hir)\w* (?:\S+ ){0,2}?(?:jobs|workers|staff|employees)", 1.6),
    (r"(?:resign|quit|step\w* down|depart|leav)\w* (?:abruptly|suddenly|unexpectedly|amid|after|over)"
     r"|(?:abrupt|sudden|surprise|unexpected) (?:exit|departure|resignation)|auditor (?:resigns?|quits?)", -2.2),
    (r"(?:clos|shut)\w* (?:down )?(?:\w+ ){0,3}?(?:stores|plants?|factor\w+|branches|mines?|refiner\w+|sites?"
     r"|shops|restaurants|outlets|operations|pipeline|line)", -2.0),
    (r"(?:halt|suspend|stop|paus|idl|curtail)\w* (?:\w+ ){0,2}?(?:production|output|operations|trial|study|sales"
     r"|deliver\w+|shipments|trading|withdrawals|hiring|work|flights|guidance|listing)", -2.2),
    (r"(?:resum|restart|reopen|reinstat|restor)\w*(?: (?:\w+ ){0,2}?(?:production|output|plant|operations|dividend"
     r"|trading|guidance|deliver\w+|flights|mine))?", 1.8),
    (r"(?:brake|airbag|battery|safety|software|engine) (?:defects?|faults?|flaws?|concerns?|issues?|problems?|recall)", -1.8),
    (r"(?:fail|miss|flop)\w* (?:in|its|a|the|late-stage|key|main|to) (?:\w+ ){0,3}?(?:trial|study|goal|endpoint|test)s?", -2.6),
    (r"(?:positive|strong|promising|successful|encouraging) (?:\w+ ){0,2}?(?:trial|study|data|results?|readout)"
     r"|(?:trial|study|drug|vaccine) (?:\w+ )?(?:succeed|meets?|met|work)\w*", 2.4),
    (r"(?:write|writes|wrote|writing|written)[- ]?(?:down|off)s?|writedowns?|impairments?", -2.2),
    (r"(?:cash burn|burns? (?:through )?cash|bad[- ]loans?|data breach|cyber-?attacks?|ransomware)", -2.0),
    (r"(?:record|heavy|net|fund|capital) (?:outflows?|withdrawals|redemptions)", -1.8),
    (r"(?:record|strong|heavy|net|fund) inflows?", 1.8),
    (r"(?:weigh|drag|press)\w* (?:on|down)|under pressure|on edge|hit by|hurt by|battered by|dented by", -1.8),
    (r"(?:not enough to|no relief|little relief|no end|lack of|dry(?:ing)? up|dries up|out of cash)", -2.0),
    (r"(?:pay|paid)\w* (?:off|down) (?:\w+ )?(?:debts?|loans?)|debt[- ]free", 2.0),
    (r"(?:pick|picks|picked|picking) up\b|on track|gain(?:s|ed|ing)? (?:ground|market share|share|traction)", 1.6),
    (r"(?:yield curve|curve) (?:\w+ )?(?:invert\w*|inversion)(?: deepens)?", -2.0),
    (r"(?:rate|price) (?:cut|reduction) (?:hopes|bets)|soft landing", 1.4),
    (r"(?:hard landing|trade war|price war|debt ceiling|credit crunch|bank run|margin call)", -2.2),
    (r"back above|outpac\w+ (?:peers|rivals|market)", 1.8),
)  # fmt: skip

WORDS: dict[str, float] = {
    **dict.fromkeys((
        "beats", "outperforms", "outperformed", "outperform", "breakthrough", "boom", "booming",
        "bullish", "upbeat", "robust", "windfall", "thrives", "thriving", "stellar", "blockbuster",
        "oversubscribed", "overweight", "optimism", "optimistic", "bumper", "blowout",
    ), 2.2),
    **dict.fromkeys((
        "strong", "stronger", "solid", "healthy", "buoyant", "upside", "relief", "hopes", "hope",
        "revival", "turnaround", "profitable", "profitability", "resilient", "resilience",
        "milestone", "cheer", "cheers", "approves", "approved", "approval", "clears", "cleared",
        "wins", "win", "won", "ceasefire", "truce", "easing", "improvement", "stimulus", "bailout",
        "fuels", "fuelled", "fueled", "strength", "momentum", "accelerates", "premium", "recovery",
        "rescued", "rescue", "undervalued", "bonanza", "outpaces", "favourable", "favorable",
    ), 1.5),
    **dict.fromkeys((
        "bankrupt", "bankruptcy", "fraud", "crisis", "collapse", "collapses", "collapsed", "panic",
        "rout", "turmoil", "scandal", "meltdown", "delisting", "delisted", "indicted", "indicts",
        "embezzlement", "insolvency", "liquidation", "crash", "crashes", "crashed", "catastrophe",
        "explosion", "ousted", "plunge", "wipes", "slump", "ponzi", "implodes", "carnage",
    ), -2.6),
    **dict.fromkeys((
        "probe", "probes", "probed", "investigation", "investigates", "investigating", "lawsuit",
        "sues", "sued", "suing", "alleges", "alleged", "accuses", "accused", "charged", "fined",
        "fine", "fines", "penalty", "penalties", "recall", "recalls", "recalled", "strike", "strikes",
        "walkout", "layoffs", "redundancies", "disappoint", "disappoints", "disappointed",
        "disappointing", "disappointment", "recession", "downturn", "slowdown", "defect", "defects",
        "hack", "hacked", "hackers", "breach", "outage", "fire", "blaze", "flood", "drought", "misses",
        "missed", "default", "defaults", "junk", "dump", "dumps", "dumping", "loss-making", "stagnates",
        "stagnation", "contraction", "glut", "gloom", "gloomy", "bleak", "bearish", "underperform",
        "underperforms", "underweight", "overvalued", "worst", "worsens", "worsen", "worsening",
        "worse", "deteriorates", "deteriorating", "fails", "failed", "failure", "failures", "rejects",
        "rejected", "blocks", "blocked", "halts", "halted", "restates", "restatement", "unravel",
        "unravels", "derails", "cripples", "laundering", "misled", "misleading", "bribery", "shutdown",
        "shortfall", "shortage", "squeezes", "squeezing", "squeezed", "squeeze", "slashes", "shortages",
        "shuts", "stalls", "stalled", "struggles", "struggling", "struggle", "lawsuits", "casualty",
        "disruption", "disrupts", "disrupted", "threatens", "threatened", "jitters", "woes", "headwinds",
        "penalised", "penalized", "steal", "stolen", "theft", "crunch", "austerity", "shelves", "scraps",
        "cancels", "cancelled", "canceled", "irregularities", "unrest", "war", "evicted", "seizes",
    ), -2.0),
    **dict.fromkeys((
        "weak", "weaker", "weakness", "soft", "sluggish", "tepid", "lackluster", "lacklustre", "fears",
        "fear", "worries", "worry", "worried", "concerns", "concern", "uncertainty", "threat", "threats",
        "pressure", "pressures", "delay", "delays", "delayed", "risk", "risks", "volatile", "headwind",
        "caution", "cautious", "losses", "damages", "suspended", "suspends", "hurt", "hurts", "dents",
        "dent", "knocks", "hampers", "clouds", "dispute", "disputes", "backlash", "boycott", "deficit",
        "tension", "tensions", "hit", "hits", "abandons", "withdraws", "postpones", "postponed",
    ), -1.2),
}  # fmt: skip

_BAD_WHEN_HIGH = (
    "loss losses deficit deficits debt debts borrowing borrowings cost costs expense expenses "
    "inflation unemployment jobless claims delinquencies delinquency defaults default bankruptcies "
    "insolvencies foreclosures layoffs redundancies provisions provision charge-offs write-offs "
    "writedowns impairments fears fear worries worry concerns concern risk risks uncertainty tension "
    "tensions volatility vix tariff tariffs tax taxes yields rates bills bill shortage shortages glut "
    "outflows outflow withdrawals redemptions complaints recalls recall fines penalties short-interest "
    "spreads slump downturn decline recession gloom pressure pressures cpi ppi rents burn churn attrition "
    "vacancies vacancy headwinds delay delays outage outages stockpiles overhang exposure leverage "
    "liabilities arrears litigation disputes infections cases panic jitters crunch stress premiums"
).split()  # fmt: skip
_GOOD_WHEN_HIGH = (
    "profit profits earnings eps revenue revenues sales income turnover ebitda share shares stock stocks "
    "equities index indexes indices dow nasdaq s&p ftse dax nikkei order orders backlog demand output "
    "production deliveries shipments guidance outlook forecast forecasts target targets dividend "
    "dividends payout margin margins cash-flow cashflow growth gdp confidence sentiment spending traffic "
    "bookings subscribers users customers inflows inflow assets exports hiring payrolls jobs employment "
    "starts sales applications permits prices price oil crude gold silver copper gas wheat bitcoin ether "
    "crypto dollar euro sterling pound yen yuan rupee currency currencies bond bonds treasuries rating "
    "valuation activity capacity market markets futures surplus liquidity returns return volumes volume "
    "enrollment occupancy listings ipo appetite productivity fund funds reserves investment investments "
    "deposits harvest crop passengers miners banks bank retailers lenders "
    "chipmakers automakers carmakers airlines insurers peers sector gauge benchmark target's ratings"
).split()  # fmt: skip
QUANTITIES: dict[str, float] = {
    **dict.fromkeys(_GOOD_WHEN_HIGH, 1.0),
    **dict.fromkeys(_BAD_WHEN_HIGH, -1.0),
    **dict.fromkeys(
        (
            "loan",
            "loans",
            "lending",
            "wage",
            "wages",
            "pay",
            "imports",
            "stake",
            "capital",
            "stakes",
        ),
        0.0,
    ),
}
COST_KINDS = frozenset(
    "food consumer producer import fuel energy petrol wholesale input grocery electricity freight "
    "shipping rent core living".split()
)
"""What makes `prices` something that is bad when high."""

MARKET_TERMS = (
    "share shares interest trust security securities gross vice united energy value party "
    "crude debt cut cuts lower top drop growth like fund gold fire special novel please play "
    "support supported share's alert agreement natural legal increase increased gain gains "
    "gained profit profits credit solution solutions active exempt limited join joins "
    "unchanged matter matters court tank tanks short charges charge pay pays resolve "
    "resolutions yes ease best shared sharing care approval approve welcome defense battery "
    "battle commit committed promise chance intelligence intelligent original smart freedom "
    "fresh holiday holidays asset assets launch launches exchange opportunity "
).split()
"""Words that VADER takes for a mood and markets do not."""

STOP_MARKS = re.compile(r"[,;:.!?()\u2026]|--")
