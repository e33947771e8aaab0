"""Given and family names of the United States census and of thirty countries, and what they are not."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from importlib.resources import files

SHORTEST_NAME = 3
LOCALES = re.findall(
    r"\w+",
    "cs_CZ da_DK de_AT de_CH de_DE en_GB en_IE en_IN es_ES es_MX et_EE fi_FI fr_FR hr_HR hu_HU is_IS it_IT"
    " lt_LT lv_LV nl_BE nl_NL no_NO pl_PL pt_BR pt_PT ro_RO sk_SK sl_SI sv_SE tr_TR",
)
"""Where Faker knows names in the Latin script."""

WORD = re.compile(r"[^\W\d_]+")

ORDINARY = frozenset(
    WORD.findall(
        # English words, measured by how often archives write them in lower case
        "can said don see many made long lot per line else summer gene soon major numbers hope bill page"
        " job young brain server chance floor mark love man guy beta season alpha miles owe loan carry"
        " meta miss patience winter desire grant kick manual till spring rich faith sid thi echo min harm"
        " constant cord beat rose hang drew mel sole son forum sun von delta gun edit ion star dot art"
        " lies tiny max angle joke del odd crystal tone precious ties urban tea forest les lean sue mile"
        " lucky pol van clay bitten liberty aide peer ing gay foster era song lady aura sunny kit lia jet"
        " harsh cherry bud tilde buddy bell rod rica joy til sera hung junior mar bent yer chi autumn"
        " carol herb king remo eta moon charity diamond mate conception penny wan toy marry bas ver bee"
        " sunshine bob marine uni rea wolf glory rocky mentor fairy temple len chan ville chase genesis"
        " kitty eve omega aurora ping frank ziggy dev atlas dawn honey greet candy sha lone hunter buck"
        " lane destiny feline sunday tran opal grace chuck dung golden hind royal bunny ray walker coy"
        " sys neo ginger ine paw lotta cal chin mee yen ante sterling lin magna che ling tan alfa ward"
        " sever valves cliff ena deja wai aurea mana ester dean tore tish soo theres amber flora ara"
        " german queen lan daisy tera cas mai gro canal einer cherish stan prudence addi earl sai lien"
        " alba dom iris peg tad pinkie luc dale nikola margarita dick lutz hue val jesus ants coral"
        " blanche kent rein mercy harmony marina pat may will june april august march early price wise"
        " violet olive ivy holly hazel heather jade jasmine ruby pearl melody misty sky stormy angel"
        " princess prince duke baron bishop pope cook baker carter mason taylor parker porter piper hall"
        " banks stone field woods brook brooks rivers lake heath reed barry gale robin an so my in le you"
        " the and for our all are his her has was not out new now one two"
        # French, German, Spanish, Italian, Portuguese and Dutch words
        "une les des est elle aime dieu fleur fleurs claire belle bonne juste noel prudence aurore marie"
        " alle ein eine einer kai sonne ernst frei stark gut mit ich sie wir herr frau dank luna sol"
        " dolores pilar mercedes luz cruz paz mar reyes blanca angeles rosa consuelo esperanza milagros"
        " asuncion concepcion encarnacion soledad amor dulce linda stella chiara fortuna felice vera vita"
        " ave santa santo san dona ana ante dat den het wil bent jan wim"
    )
)
"""Given names that are words, months or titles too: a name only before a family name."""

PLACES = frozenset(
    WORD.findall(
        "edison january september october november december thu sep houston america india francisco diego"
        " china nevada france virginia florida stanford austin carolina alberta paris asia georgia"
        " atlanta maryland jordan milan israel edu ene ets sierra dell easter indiana medina dallas"
        " argentina irish corona verde dakota harley lincoln orlando columbus geneva nazi sydney suse"
        " denver cleveland kenya macs mac kent london berlin roma rome vienna verona siena florence sofia"
        " lorraine bretagne savannah brooklyn chelsea camden boston salem trenton phoenix montana"
        " tennessee alabama arizona delaware washington jersey york cairo lima santiago antonio juan jose"
        " bernardino barbara monica modesto clara rey maria rosa ana monte mona villa ami ora ida ira ema"
        " eva fema dena pascal ruby ada java julia hal eliza apollo kepler nova titan mercury saturn"
        " venus janus minerva cassandra jenkins lotus corba merrill hilton villanova israeli britain"
        " england ireland scotland holland germania norway sweden italia italy spain africa europe russia"
        " turkey japan korea mexico brazil canada cuba chile peru malta cyprus bermuda trinidad tobago"
        " jamaica haiti dominica guinea chad mali niger togo benin gabon oman armenia albania persia"
        " syria erie huron ontario quebec manitoba utah idaho oregon texas kansas iowa maine ohio"
        " palestine odessa adelaide perth melbourne darwin wellington christchurch hobart victoria"
        " cheyenne laramie sedona aspen reno vegas madison raleigh durham lansing bristol oxford"
        " cambridge christian christians muslim islam allah buddha krishna catholic christmas corporal"
        " general senator governor barbie madonna elvis garfield homer legend cart van spa mario gala gia"
        " sas sql alt del ins esc"
    )
)
"""Given names that mostly are places, products or months: they too count only before a family name."""

NO_FAMILY = frozenset(
    WORD.findall(
        "the and for are was but not you your our his her its they them that this these those there then"
        " than what when where which who why how has had have will would can could should shall may might"
        " must does did said says say asked asks told tells wrote writes wants needs from with into over"
        " under after before about please thanks thank regards hello dear also just only even yes okay"
        " sent subject date fwd here monday tuesday wednesday thursday friday saturday sunday january"
        " february march april june july august september october november december jan feb mar apr jun"
        " jul aug sep oct nov dec spring summer autumn winter morning evening night today tomorrow"
        " yesterday meeting agreement contract order complaint chairman chief officer president director"
        " manager mayor gov rep sen assistant senior vice executive unveils finds threatened seeks meet"
        " meets linux telecom electric laptops parquet grow console suite card prediction windows"
        " software server project team version report phone fax email office model mosque public human"
        " daily row latitude we so as at in on of to by if or it is be he she me my an no do"
    )
)
"""Capitalised behind a given name without being part of it."""

ORGANISATION = frozenset(
    WORD.findall(
        "inc llc llp ltd limited gmbh ag kg plc corp corporation co company companies sa nv bv spa srl"
        " group holdings holding international energy gas power electric telecom bank trust capital"
        " partners associates brothers bros sons foundation fund university college school institute"
        " academy hospital clinic center centre museum library church cathedral chapel stadium arena"
        " airport station hotel inn club society association commission committee subcommittee council"
        " union journal chronicle times post press news records studios pictures pharmaceuticals"
        " industries systems technologies solutions services consulting securities administration"
        " ministry department award prize medal cup county city valley river lake islands island canyon"
        " park beach bay creek falls mountain mountains mount hills heights springs wilderness desert"
        " street avenue road boulevard blvd ave rd lane drive court square plaza parkway highway bridge"
        " tower building house hall theatre theater scotia manhattan superior empire obispo act law"
        " amendment doctrine theorem algorithm equation effect syndrome disease scale test index"
        " orchestra band convention conference summit mission ranch farm farms dam plant mall market"
        " store stores canal convoy crossroad crossing research investments government lines maintenance"
        " innovation pacific oaks kong state people league staff labs ridge peninsula service wire"
    )
)
"""Makes what stands before it a company, an institution or a place."""

COMPANIES = frozenset(
    re.findall(
        r"[^;]+",
        "Wells Fargo;Morgan Stanley;Merrill Lynch;Arthur Andersen;Goldman Sachs;"
        "Charles Schwab;Dean Witter;Salomon Smith;Eli Lilly;Dow Jones;Harley Davidson;"
        "Ernst Young;Johnson Controls;Philip Morris;Ralph Lauren;Calvin Klein;Estee Lauder;"
        "Marc Jacobs;Hugo Boss;Jack Daniels;Johnnie Walker;Jim Beam;Harry Potter;"
        "Hewlett Packard;Warner Bros;Sara Lee;Abercrombie Fitch;Mary Kay;Dr Pepper;Ben Jerry;"
        "Louis Vuitton;Christian Dior;Tommy Hilfiger;Morgan Chase;Edward Jones;Raymond James;"
        "Franklin Templeton;Kaiser Permanente;Spencer Stuart;Booz Allen;Allen Hamilton;"
        "Baker Hughes;Duke Energy;Vinson Elkins;Martin Marietta;Lockheed Martin;"
        "Sherwin Williams;Monte Carlo;Costa Rica;Sierra Leone;Saint Louis;Jordan River;"
        "Perl Harbor;Santa Barbara;Santa Monica;San Jose;Virginia Beach;Carolina Panthers;"
        "Orange County;Virgin Islands;Alexander Graham;Mardi Gras;Peter Pan;Oliver Wyman;"
        "Julius Caesar;Jesus Christ",
    )
)
"""Two words that read like a person's name and are none."""


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """Return given names as they are written, capitalised or in capitals."""
    return _both_ways(_census("male.first") | _census("female.first") | _of_faker("first_names"))


@lru_cache(maxsize=1)
def family_names() -> frozenset[str]:
    """Return family names as they are written, capitalised or in capitals."""
    return _both_ways(_census("all.last") | _of_faker("last_names"))


def _census(part: str) -> set[str]:
    lines = files("names").joinpath(f"dist.{part}").read_text(encoding="ascii").splitlines()
    return {line.split(maxsplit=1)[0].title() for line in lines}


def _of_faker(attribute: str) -> set[str]:
    words: set[str] = set()
    for locale in LOCALES:
        provider = import_module(f"faker.providers.person.{locale}").Provider
        for name in dir(provider):
            known = getattr(provider, name) if name.startswith(attribute) else ()
            if not isinstance(known, property):
                words.update(word for full in known for word in WORD.findall(full))
    return words


def _both_ways(words: set[str]) -> frozenset[str]:
    proper = {word for word in words if len(word) >= SHORTEST_NAME and word[0].isupper()}
    return frozenset(proper | {word.upper() for word in proper})
