"""Word lists of the English name finder."""


def words(text: str) -> frozenset[str]:
    """The words of a text as a set, which is shorter to write and to read than a literal."""
    return frozenset(text.split())


MALE_TITLES = words(
    """
    Mr Sir Dr Doctor Captain Capt Colonel Col Major General Lieutenant Sergeant Inspector Lord Count Baron Duke
    Prince King Professor Prof Rev Reverend Father Brother Uncle Monsieur M Herr Signor Don Master Squire
    Monseigneur
    """
)
MILITARY_TITLES = words("Captain Capt Colonel Col Major General Lieutenant Sergeant")
WIFE_TITLES = words("Mrs Madame Mme Madam Signora Frau Aunt")
MAIDEN_TITLES = words("Miss Mademoiselle Mlle Signorina Sister")
LADY_TITLES = words("Lady Queen Princess Countess Duchess Baroness Dame")
TITLES = MALE_TITLES | WIFE_TITLES | MAIDEN_TITLES | LADY_TITLES
DOTTED_TITLES = words("Mr Mrs Ms Dr Capt Col Prof Rev Mme Mlle M")
FEMALE_TITLES = WIFE_TITLES | MAIDEN_TITLES | LADY_TITLES
FORENAME_TITLES = words("Sir Lady Lord Dame Father Brother Sister Master Uncle Aunt Madam Mademoiselle")
"""Titles that stand before a forename."""
BY_TITLE = words("Sir Lady Lord Dame")
"""Of them, those whose bearers nobody calls by the bare forename."""
# These also stand alone for a person: "the Count", "the Professor".
OFFICES = words(
    """
    Count Countess Professor King Queen Duke Duchess Prince Princess Baron Baroness Captain Colonel Major General
    Doctor Inspector
    """
)

# Capitalised but never somebody. Months, days, peoples, places that every novel may name, and what begins sentences.
NOT_NAMES = words(
    """
    January February March April May June July August September October November December Monday Tuesday Wednesday
    Thursday Friday Saturday Sunday Christmas Easter Michaelmas Lent Sabbath God Lord Heaven Heavens Hell Providence
    Almighty Creator Maker Saviour Christ Jesus Devil Satan Bible Scripture Gospel Church Nature Fate Fortune Death
    Time Love Truth English Englishman Englishmen Englishwoman French Frenchman German Germans Germany Italian Italy
    Spanish Spain Dutch Greek Greece Latin Roman Romans Rome Russian Russia Turk Turkish Turkey Arabian Indian India
    Indies American America European Europe Christian Christians Jew Jewish Catholic Protestant British Britain
    Briton Scotch Scottish Hungarian Magyar Bohemian Bohemia Lascar Scotland Irish Ireland Welsh Wales England
    France Paris London Geneva Switzerland Austria Hungary Africa Asia Australia China Oxford Cambridge Bath
    Brighton Kent Surrey Sussex Yorkshire Hertfordshire Derbyshire Devonshire Thames Rhine Alps Atlantic
    Mediterranean Street Square Road Lane Park House Hall Castle Abbey Court Inn Hotel Bank Station Bridge Hill Wood
    Grove Place Terrace Row Club College University Hospital North South East West Sir Madam Sire Ma'am Mister Miss
    Mrs Mr Lady Lords Ladies Gentlemen Gentleman Majesty Highness Honour Honor Excellency Lordship Ladyship Misses
    Missis Missus Sirs Papa Mamma Mama Mother Father Mom Dad Uncle Aunt Brother Sister Cousin Nurse Oh Ah O Alas
    Hush Yes No Ay Aye Nay Well Now Then There Here Why What Who When Where How Good Dear Poor Little Old Young
    Great New And But Or If So For Not Nor Yet The A An This That These Those It He She They We You I My His Her Our
    Your Their Chapter Letter Book Volume Part Contents Preface End Journal Diary Note Telegram Memorandum Later Ha
    Come Go Let Do Did Is Are Was Were Will Shall Would Should Could Can May Must Have Had Has Pray Thank Thanks
    Please Very Only Never Ever Once Again Still After Before At In On Of To From By With Up Down Out Over All Some
    Any One Two Three Bye Nothing Something Everything Everybody Nobody Somebody Just Indeed Perhaps Even Such As
    Also Too Tell Give Take Look See Hear Listen Stop Wait Keep Stay Said Says Till Until While Though Although
    Because Since Whether Which Whose Whom Let's Don't Can't Won't It's I'm I'll I've I'd You're He's She's They're
    We're That's There's What's Who's Didn't Isn't Wasn't Couldn't Wouldn't Shan't Haven't Hadn't Ain't 'Tis 'Twas
    Messrs Esq M.D Bring Call Ask Send Show Leave I\u2019ll I\u2019ve I\u2019d I\u2019m
    """
)
# What speaking is told with, before or after a name.
SPEECH = words(
    """
    said says cried replied asked answered exclaimed whispered murmured muttered remarked observed added continued
    returned shouted thought inquired enquired began repeated interrupted explained screamed called sobbed sighed
    laughed growled ejaculated rejoined suggested declared spoke nodded smiled looked turned sat stood came went
    """
)
# What people do, right after their name.
DEEDS = SPEECH | words(
    """
    was is had has could would did felt saw knew took made gave seemed found told heard loved wished hoped feared
    walked ran rose paused opened put then himself herself who
    """
)
ENDEARMENTS = words("dear dearest poor friend cousin brother sister uncle aunt papa mamma husband wife mother father")
EPITHETS = words("March White Red Black Blue Green Good Old Young Little Great")
HE = words("he his him himself")
SHE = words("she her hers herself")
WOMANLY_ENDINGS = ("a", "ine", "elle", "ette", "ie")
PLACE_WORDS = words("in at into near through towards toward around across leaving reached quitted within")
PLACE_NOUNS = words(
    """
    Street Square Road Lane Park House Hall Castle Abbey Court Inn Hotel Bank Station Bridge Hill Wood Grove Place
    Terrace Row Club College University Hospital Lodge Manor Cottage Farm River Bay Island Mountains County
    """
)
ARTICLES = words("the a an every each any no some")
JOINERS = words("de van von der du la le di da")
# Short forms that novels use and the `nicknames` dataset lacks, or gives to other names first.
SHORT_FORMS = {
    "Lizzy": "Elizabeth",
    "Eliza": "Elizabeth",
    "Kitty": "Catherine",
    "Kate": "Catherine",
    "Tom": "Thomas",
    "Will": "William",
    "Bill": "William",
    "Willy": "William",
    "Jack": "John",
    "Dick": "Richard",
    "Ned": "Edward",
    "Ted": "Edward",
    "Bob": "Robert",
    "Jim": "James",
    "Jem": "James",
    "Sam": "Samuel",
    "Harry": "Henry",
    "Art": "Arthur",
    "Fred": "Frederick",
    "Joe": "Joseph",
    "Nelly": "Ellen",
    "Fanny": "Frances",
    "Janet": "Jane",
    "Jenny": "Jane",
    "Molly": "Mary",
    "Georgy": "Georgiana",
    "Adela": "Adele",
}
