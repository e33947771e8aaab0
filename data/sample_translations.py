"""The German and French part of the sample: decisive sentences, near misses and daily work."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from data.sample_phrases import Families, families


def _families(blocks: Mapping[str, str]) -> Mapping[str, Families]:
    return MappingProxyType({label: families(block) for label, block in blocks.items()})


def _sentences(block: str) -> tuple[str, ...]:
    return tuple(block.strip().splitlines())


GERMAN = _families(
    {
        "off_channel": """
[Schreib|Antworte] mir wegen {firm} auf {app}, [hier wird alles archiviert|nicht hier im Chat].
Ruf mich auf dem privaten Handy an, [nicht auf der Leitung mit Aufzeichnung|die Leitung wird aufgezeichnet].
Lass uns {client} über {app} besprechen, [dort zeichnet niemand auf|da liest keiner mit].
Die Zahlen zu {firm} schicke ich dir an deine private Mailadresse.

Bitte nach dem Lesen löschen, weiter geht es in unserer kleinen Gruppe.
Komm lieber kurz raus, getippt wird darüber nichts.
Das klären wir dort, wo die Revision keinen Schlüssel hat.
""",
        "insider_information": """
{firm} wird am {day} übernommen, das ist noch nicht öffentlich, [kauf|deck dich ein] vorher.
Ich habe den Entwurf der Zahlen von {firm} gesehen, verkauf [heute|vor der Meldung].
Mein Schwager sitzt im Vorstand von {firm}, die Dividende fällt aus, geh short.
Kauf {firm} über das Konto deiner Frau, bevor die Meldung am {day} kommt.

Wer mit im Raum saß, sagt: am Sonntag wird unterschrieben, sei vorher dabei.
Der Prüfer hat mir verraten, dass im Lager von {firm} Ware fehlt, nutze das.
Am {day} erfährt es die Welt, du weißt es heute, also greif zu.
""",
        "market_manipulation": """
Stell große Kauforders in {firm} ein und zieh sie zurück, [bevor sie jemand trifft|kurz vor der Ausführung].
Wir drücken den Schlusskurs von {firm} [gemeinsam|zusammen] auf {price}.
Du verkaufst mir {quantity} {firm} und ich dir zurück, dann sieht der Umsatz [echt|gut] aus.
Streu das Gerücht, dass {firm} verkauft wird, danach laden wir ab.

Zeig ihnen eine Wand, die es gar nicht gibt.
Wenn wir drei um vier in dieselbe Richtung lehnen, steht der Referenzwert, wo wir ihn brauchen.
Bis zum Quartalsende muss der Kurs hübsch aussehen, egal was es kostet.
""",
        "gifts_and_bribery": """
Gib dem Einkäufer von {client} [einen Umschlag|eine Uhr], dann bekommen wir das Mandat.
Die Reise nach {place} für {first} und seine Frau zahlen wir, dafür kommt {client} zu uns.
Trag die Karten für {client} nicht ins Register ein, buch sie als Büromaterial.
Er will {percent} von jedem Geschäft auf das Konto seines Bruders.

Wenn seine neue Küche steht, steht auch die Zuteilung.
Etwas Warmes in der Manteltasche beschleunigt die Unterschrift.
Den Unterschied auf der Rechnung bekommt der Herr, der entscheidet.
""",
        "harassment": """
Du bist [völlig|komplett] unfähig, {first}, jeder Praktikant kann das besser.
Halt den Mund und mach die Tickets, keiner [hier|im Team] will dich haben.
Wenn du noch einmal zur Personalabteilung rennst, mache ich dir das Leben zur Hölle.
Bist du dumm oder nur faul, {first}?

Hol Kaffee, das Denken machen die anderen.
Wer dich eingestellt hat, muss eine Wette verloren haben.
Der ganze Flur wettet, an welchem Tag du endlich gehst.
""",
        "data_exfiltration": """
Ich habe die [ganze|komplette] Kundenliste auf [einen Stick|meine private Cloud] kopiert, bevor ich gehe.
Gib mir dein Passwort, dann ziehe ich die Daten von {client}, ohne dass mein Name im Protokoll steht.
Benenn die Datei um, dann lässt der Filter sie durch.
Mein neuer Arbeitgeber will die Kontakte von {client}, ich bringe sie mit.

Mein Rucksack wird jeden Abend schwerer, drei Ordner liegen schon im Keller.
Bildschirm für Bildschirm mit dem Handy abfotografiert, vierhundert Konten.
Der Algorithmus geht mit mir, die zweite Hälfte steckt im Schuh.
""",
        "spam": """
Herzlichen Glückwunsch, Sie haben {amount} gewonnen, [klicken|tippen] Sie auf den Link.
Ihr Postfach ist voll, bestätigen Sie Ihr Passwort [sofort|innerhalb von 24 Stunden].
Verdienen Sie {amount} pro Woche von zu Hause, [garantiert|ohne Risiko].
Jetzt {percent} Rabatt auf [Uhren|Tabletten], nur bis {day}.

Ihre Haare werden es Ihnen in drei Wochen danken.
Das Kissen der Astronauten kostet heute weniger als eine Pizza.
Die Sterne meinen es gut mit Ihnen, fragen Sie unser Medium.
""",
    }
)

FRENCH = _families(
    {
        "off_channel": """
[Écris-moi|Réponds-moi] sur {app} pour {firm}, [ici tout est archivé|pas dans ce chat].
Appelle-moi sur mon portable privé, [la ligne du bureau est enregistrée|pas sur la ligne enregistrée].
Passons la discussion sur {client} sur {app}, [personne n'y enregistre|là rien n'est gardé].
Je t'envoie les chiffres de {firm} sur ton adresse personnelle.

Efface ce mot après lecture, la suite dans notre petit groupe.
Descends plutôt cinq minutes, rien par écrit.
On en parle là où le contrôle n'a pas la clé.
""",
        "insider_information": """
{firm} sera rachetée {day}, ce n'est pas encore public, [achète|prends-en] avant.
J'ai vu le projet des résultats de {firm}, vends [aujourd'hui|avant l'annonce].
Mon beau-frère siège au conseil de {firm}, le dividende saute, vends à découvert.
Achète {firm} sur le compte de ta femme avant le communiqué de {day}.

Quelqu'un qui était dans la salle dit qu'ils signent dimanche, sois prêt avant.
L'auditeur m'a confié qu'il manque du stock chez {firm}, profites-en.
Le monde l'apprend {day}, toi tu le sais ce soir, alors sers-toi.
""",
        "market_manipulation": """
Mets de gros ordres sur {firm} et retire-les [avant qu'ils passent|juste avant l'exécution].
On pousse [ensemble|à deux] la clôture de {firm} à {price}.
Tu me vends {quantity} {firm} et je te les revends, le volume aura l'air [vrai|beau].
Lance la rumeur que {firm} est à vendre, ensuite on se débarrasse des nôtres.

Montre-leur un mur qui n'existe pas.
Si nous penchons tous les trois du même côté à quatre heures, l'indice va où il nous faut.
Jusqu'à la fin du trimestre le cours doit être joli, coûte que coûte.
""",
        "gifts_and_bribery": """
Donne [une enveloppe|une montre] à l'acheteur de {client} et nous aurons le mandat.
Le voyage à {place} pour {first} et sa femme est pour nous, en échange {client} vient ici.
N'inscris pas les billets de {client} au registre, passe-les en fournitures.
Il veut {percent} sur chaque opération, versés à la société de son frère.

Quand sa nouvelle cuisine sera posée, l'allocation le sera aussi.
Quelque chose de chaud dans sa poche accélère la signature.
La différence sur la facture revient au monsieur qui décide.
""",
        "harassment": """
Tu es [complètement|totalement] incapable, {first}, un stagiaire ferait mieux.
Tais-toi et fais tes tickets, personne [ici|dans l'équipe] ne veut de toi.
Si tu retournes te plaindre aux ressources humaines, ta vie ici sera un enfer.
Tu es bête ou seulement paresseux, {first}?

Va chercher le café, penser c'est pour les autres.
Celui qui t'a embauché a dû perdre un pari.
Tout l'étage parie sur le jour où tu partiras enfin.
""",
        "data_exfiltration": """
J'ai copié [toute|l'entière] la liste des clients sur [une clé|mon nuage privé] avant de partir.
Donne-moi ton mot de passe, je sors les données de {client} sans laisser mon nom.
Renomme le fichier et le filtre le laissera passer.
Mon nouvel employeur veut les contacts de {client}, je les apporte.

Mon sac est plus lourd chaque soir, trois classeurs sont déjà à la cave.
Écran par écran avec mon téléphone, quatre cents comptes bien nets.
L'algorithme part avec moi, l'autre moitié est dans ma chaussure.
""",
        "spam": """
Félicitations, vous avez gagné {amount}, [cliquez|appuyez] sur le lien.
Votre boîte est pleine, confirmez votre mot de passe [tout de suite|sous 24 heures].
Gagnez {amount} par semaine depuis chez vous, [garanti|sans risque].
Remise de {percent} sur les [montres|pilules], jusqu'à {day} seulement.

Vos cheveux vous diront merci dans trois semaines.
L'oreiller des astronautes coûte ce soir moins cher qu'une pizza.
Les étoiles vous sourient, interrogez notre voyante.
""",
    }
)

GERMAN_NEAR_MISSES = _sentences("""
Über {firm} kann ich auf {app} nicht sprechen, bitte die aufgezeichnete Leitung nehmen.
Mein privates Handy ist im Handel aus, ruf bitte am Platz an.
{firm} steht auf der Sperrliste, bis zur Meldung wird nicht gehandelt.
Die Übernahme von {firm} wurde heute früh gemeldet, Kunden fragen nach den Bedingungen.
Die gelöschten Orders in {firm} waren ein Tippfehler, der Bericht liegt bei der Aufsicht.
{client} kauft {quantity} {firm} zum Schlusskurs, bitte unter {percent} des Umsatzes bleiben.
Die Grenze für Geschenke liegt bei {price} je Person, bitte alles ins Register eintragen.
Die Uhr von {client} habe ich mit einem höflichen Brief zurückgeschickt.
Entschuldige den Ton von heute früh, du hattest recht mit dem Ticket.
So ein dummer Fehler von mir, ich habe {quantity} doppelt eingegeben.
Die Kundenliste liegt für die Prüfung im gesicherten Ordner, kopiert wird nichts.
Am letzten Tag bitte Stick, Laptop und Ausweis abgeben.
Die Mail mit dem Gewinn habe ich als Spam gemeldet, bitte nicht klicken.
Die Informatik hat das Postfach vergrößert, niemand muss ein Passwort bestätigen.
""")

FRENCH_NEAR_MISSES = _sentences("""
Je ne peux pas parler de {firm} sur {app}, prends la ligne enregistrée.
Mon portable privé est éteint pendant la séance, appelle le bureau.
{firm} est sur la liste d'interdiction, aucun ordre avant l'annonce.
Le rachat de {firm} est public depuis ce matin, les clients demandent les conditions.
Les ordres annulés sur {firm} étaient une erreur de frappe, le rapport est envoyé.
{client} achète {quantity} {firm} à la clôture, reste sous {percent} du volume.
La limite des cadeaux est de {price} par personne, tout va au registre.
J'ai renvoyé la montre de {client} avec une lettre polie.
Pardon pour le ton de ce matin, tu avais raison pour le ticket.
Quelle erreur bête de ma part, j'ai saisi {quantity} deux fois.
La liste des clients est dans le dossier protégé de l'audit, personne ne la copie.
Le dernier jour, rends la clé, l'ordinateur et le badge.
J'ai signalé le courriel du prix comme indésirable, ne cliquez pas.
L'informatique a agrandi les boîtes, aucun mot de passe à confirmer.
""")

GERMAN_WORK = _sentences("""
{quantity} {firm} für {client} zu {price} gekauft, die Bestätigung [folgt|ist raus].
Bitte prüf die Abwicklung für {client} bis {hour}.
{counterparty} liefert {bond} erst am {day}.
Unsere Sitzung im {desk} beginnt am {day} um {hour}.
Im {report} fehlen {amount} gegenüber {system}, ich suche noch.
{system} steht am {day} ab {hour} still.
{client} hat den Vertrag unterschrieben, wir können weitermachen.
Der Nachschuss für {client} beträgt {amount}.
{first} ist bis {day} im Urlaub, ich vertrete.
Wir haben {bond} mit {price} gestellt, der Kunde hat abgelehnt.
Das Budget für {month} liegt bei {amount}.
Danke für die schnelle Antwort.
Der Markt war nach den Daten ruhig.
Sag mir, falls etwas fehlt.
In {place} scheint heute die Sonne.
Ich melde mich bis {day}.
Die Kaffeemaschine auf dem Flur ist wieder kaputt.
Der Zug war zu spät, ich fange um {hour} an.
Schönen Abend noch.
Aktien lagen {percent} im Plus, Anleihen kaum verändert.
""")

FRENCH_WORK = _sentences("""
{quantity} {firm} achetés pour {client} à {price}, la confirmation [suit|est partie].
Merci de vérifier le règlement de {client} avant {hour}.
{counterparty} ne livre {bond} que {day}.
Notre réunion {desk} commence {day} à {hour}.
Il manque {amount} dans le {report} par rapport à {system}, je cherche.
{system} sera arrêté {day} à partir de {hour}.
{client} a signé le contrat, nous pouvons avancer.
L'appel de marge de {client} est de {amount}.
{first} est en vacances jusqu'à {day}, je le remplace.
Nous avons coté {bond} à {price}, le client a passé.
Le budget de {month} est de {amount}.
Merci pour la réponse rapide.
Le marché était calme après les chiffres.
Dis-moi s'il manque quelque chose.
Il fait beau à {place} aujourd'hui.
Je reviens vers toi {day}.
La machine à café de l'étage est encore en panne.
Le train avait du retard, je commence à {hour}.
Bonne soirée.
Les actions ont pris {percent}, les obligations n'ont pas bougé.
""")
