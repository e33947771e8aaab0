"""What gives a message of the sample archive away: the decisive sentences, family by family.

``[a|b]`` is a choice, ``{slot}`` a word from `sample_slots`. Above the blank line of a block stand
the families that anyone may use; each family below it is lent to one or two threads only. A split
by thread therefore tests most of a class on wordings that its training part never had: near in
meaning, apart in words.
"""

# ruff: noqa: E501 - a phrase is a line
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Families:
    """The sentence templates of a class: common ones and rare ones."""

    common: tuple[str, ...]
    rare: tuple[str, ...]


def families(block: str) -> Families:
    common, _, rare = block.strip().partition("\n\n")
    return Families(tuple(common.splitlines()), tuple(rare.splitlines()))


ENGLISH: Mapping[str, Families] = MappingProxyType(
    {
        "off_channel": families("""
[Text|Message|Ping] me on {app} about {firm}, [not here|this chat is archived|they read along here].
Let's [move|take] the {client} [talk|discussion] to {app}, [nobody records that|it isn't recorded there].
I [dropped|sent] the {firm} [numbers|levels] to your [private|personal] mail, [better|safer] than the work account.
Call me on my [own|private|personal] [mobile|phone] instead of the [recorded line|turret|desk line].
Please [delete|wipe|erase] this [message|note] once you read it and [answer|reply] on {app}.
We should [keep|leave] {client} off the [company|firm's] [systems|mail|chat] and [talk|speak] on {app}.
Switch on disappearing messages before I send you the {bond} [colour|details].
I'd rather [discuss|settle] the {client} [ticket|order] where [it isn't taped|nothing is taped].
Use my [private|home] address for anything about {firm}, [this one is journalled|they read this one].
My [wife's|flatmate's|brother's] phone is [fine|safe] for the {client} [talk|chat], the desk line is not.

[Ping|Reach] me where nobody archives[, you know the place|].
Let's continue [this|the rest] on the blue bubble thing.
Too many ears in here, [same place as last night|usual spot, other handset].
The green app works [better|nicely] for what you are asking.
I'd rather leave no trace of {firm} [in the office tools|on our servers], my own handset is on.
Come outside for the answer on {bond}, [this room|this window] has a memory.
Can we do the rest face to face [by the fountain|in the park], nothing typed?
Send the {client} sheet to the account that my kids use for games.
Not on this thread, you know where the other group is.
I set up a little circle for the four of us away from the firm's eyes, accept the invite.
What I really think about {firm} you only get from my second phone.
Take a picture of the blotter and send it the way you send me holiday pictures.
Surveillance [scans|reads] every word in here, so bring {client} to the other place.
Something that vanishes after a day suits me better for this.
I'll ring from the car park, my desk is wired.
Write it on paper and hand it over, keyboards remember.
The group with the pizza picture is the one for {client}, not the desk room.
Drop me a line at the address I use for online shopping, that one is ours.
Leave a voice note at the number from the ski trip, then make it go away.
Let's have this where the auditors have no key.
You still have my handle from the gaming server? Post the size there.
Hang up and dial the other number, the one without the beep.
Best if compliance never gets a transcript of this, so walk over or use your own device.
"""),
        "insider_information": families("""
I [heard|know] from the deal team that {firm} will be [taken over|bought] on {day}, [buy|get in] before it is public.
[Load up on|Get into] {firm} [before|ahead of] the [announcement|results], I have [seen|read] the draft.
This is not public yet: {firm} is [cutting its dividend|being bought|changing its chief] on {day}, so act now.
My [cousin|brother-in-law] in finance at {firm} says earnings miss by {percent}, [go short|sell] now.
The board of {firm} [approved|signed] the merger last night, [take a position|buy calls] before {day}.
I saw the confidential [term sheet|offer] for {firm}, [get in|buy] at {price} while you can.
Nobody outside knows that the {firm} trial failed, so get {client} out [today|this morning].
A tip for you alone: {firm} wins the [licence|contract], the release is on {day}[, be long|, buy some].
[Buy|Pick up] {firm} through your [wife's|sister's] account before the [news|press release] is out.
The {firm} [guidance|outlook] will be cut on {day}, I have it from their [auditor|lawyer], trade on it.

Somebody who was in the room says the two companies shake hands on Sunday, be long by {day}.
I wouldn't want to hold {firm} when the bell rings on {day}, I peeked at their slides.
The printer who sets the annual report of {firm} owes me one, and page nine is ugly, so get flat.
My neighbour sits on the regulator's panel and the answer for {firm} is no, you have until lunch.
I carried the folder into the meeting myself, {price} a share in cash, why do you own none of it?
Trust me on {firm}, I had dinner with the person who signs it, and the world learns on {day}.
We are walking around with tomorrow's newspaper here, put something on for yourself.
The factory fire hasn't hit the wires, her husband works there, lighten up in {firm}.
What the doctors found has not left the hospital, and when it does {firm} halves.
Her flatmate types the speeches at the central bank: it is fifty, not twenty-five, so position the book.
From the data room I can tell you the bid goes up, let your father's portfolio know.
The chairman steps down, only five people know, six with you, use it.
They keep the hole in the accounts of {firm} hidden until {day}, be on the other side by then.
The rating committee voted already, they print it in two days, so unload {bond} quietly.
I shouldn't say a word as I sit behind the wall, but own {firm} when you wake up on {day}.
Put your bonus in {firm}, I typed the letter to the shareholders myself.
The lawyers upstairs are ordering pizza for {firm} all night, so grab some shares for yourself.
A little bird from their audit says inventory is missing, borrow stock of {firm} while it is cheap.
The minister's aide read me the ruling on {firm} an hour ago, the market gets it on {day}.
The index committee adds {firm}, my contact chairs it and tells the world tomorrow, accumulate tonight.
Their figures are lying on my printer and far better than anyone thinks, lift what you can before the open.
You did not get this from me, but the trial data of {firm} is a disaster and only the lab knows.
"""),
        "market_manipulation": families("""
[Put|Stack] a few [big|fake] [bids|offers] in {firm} and [pull|cancel] them [before|just before] they trade.
Let's [push|bang] the [close|fixing] in {firm} [up|down] to {price}[, we need it there|].
You sell me {quantity} {firm} and I sell them back at the same price, so it looks [busy|liquid].
[Spread|Start] a rumour that {firm} [is for sale|loses its licence] and we [cover|sell] into the move.
Can you [nudge|move] your fixing submission by half a basis point today, our [reset|position] is huge.
[Ramp|Pump] {firm} in the [forums|chat rooms], then we [dump|unload] ours on them.
Layer the book in {firm} [on the offer side|below the touch] and cancel when they follow.
Let's [agree|align] our quotes in {bond} with {counterparty} so that no client [gets|sees] better.
Mark {firm} at the [bell|close] with a few tiny prints above {price}, it helps our valuation.
Cross {firm} between our own two accounts so that the volume [picks up|looks real].

Paint a bit of colour on the tape, the valuation is measured off the last print.
Show them a wall in {firm} that isn't there.
If the three of us lean the same way at four o'clock, the benchmark goes where we need it.
Make it look as though somebody large wants out of {firm}, then be gone.
Tell everyone the plant of {firm} is closing, wait for the panic and take what they throw at you.
Flash a size that you would never honour, the [machines|algos] will chase it.
I trade with you, you trade with him, he trades with me, and the screen looks alive.
Hold {firm} above the barrier until seven whatever it costs, the option pays for it.
We squeeze the shorts: nobody in our group lends {firm} or sells before {day}.
Let's both stay wide in {bond} this week and share the spoils.
Help me get the print up, my bonus depends on where {firm} finishes.
Have your cousin post that the drug of {firm} is a miracle, when the crowd arrives we leave.
Send thirty little orders, none meant to execute, and let the book tilt.
Please put the number in a touch higher than you believe, all of us gain from it tomorrow.
The last half minute is thin, throw everything at it and the fund looks great for the quarter.
Buy {firm} from yourself a couple of times, newcomers only look at turnover.
Hoard the deliverable {bond} until they beg.
Knock {firm} through the stops, then we go back the other way.
You take the morning, I take the afternoon and nobody undercuts, same as in the {bond} auction.
Float a bogus story about {firm} with that blogger, our exit is at {price}.
Put a dummy there so that {client} thinks there is a queue for {bond}.
Keep feeding small lots at the high until the chart turns pretty, then hit every buyer.
Together we own most of the float of {firm}, so the price is what we say it is.
"""),
        "gifts_and_bribery": families("""
[Send|Give] the purchasing manager at {client} [a watch|an envelope|cash] and we [get|win] the mandate.
The {place} [trip|weekend] for {first} and his wife is [on us|paid by us], he awards the {client} mandate next.
Don't [enter|log] the [gift|tickets] for {client} in the register, book it as [marketing|office supplies].
He [expects|wants] {percent} as a kickback on every ticket, paid to his [brother's|cousin's] company.
[Champagne|Watches] for the {client} committee, and [in return|for that] they route their orders to us.
A [small|discreet] payment of {amount} to the inspector and the licence is ours by {day}.
Let's [hide|bury] the {amount} for the treasurer of {client} in the invoice for the [seminar|conference].
We hire the director's [son|daughter] as an intern and {client} [comes|moves] to us.
The {amount} voucher is for {first} at {client} personally, [keep compliance out|compliance need not know].
Pay the consultant {amount}, he knows whose pocket at {client} it lands in.

Something warm in his coat pocket will speed up the signature.
He mentioned his kitchen is old, if a new one arrives the allocation does too.
Her son's tuition is due and {client} chooses its broker in {month}, you see the link.
Let the box seats find their way to his home without a card.
The yacht is free that week, and strangely the tender of {client} closes the week after.
Leave the briefcase at the cloakroom, he will know what to do for us.
Fishing, helicopter, everything, just so that he remembers whom to call with the next block.
Round up the bill and hand the difference to the gentleman who decides at {client}.
They like gold coins better than thank-you notes, budget it under training.
If we look after his mortgage, he looks after our flow.
He scratched our back with the placement, time that the keys of the convertible changed hands.
Slip the clerk something so that our papers lie on top of the pile.
Book the suite under my cousin's name, the lady who decides at {client} will be our guest.
A donation to his favourite foundation buys us the seat at the table.
Tell him the bottle cost forty and not four thousand, and his loyalty may stay where it is.
The examiner is remodelling his garden, send our contractor and no bill.
Sweeten it for the trustee, he was wavering.
Name a number that makes her forget the other two brokers.
Wire the thank-you to the island company, description: translation services.
Every ticket from {client} puts a little aside for his holiday house, that is the understanding.
I promised a job for his nephew once the mandate has landed.
His wife admired the necklace, so let it be delivered, he votes on {day}.
Spoil {first} rotten in {place}, an obliged man signs what you put before him.
"""),
        "harassment": families("""
You are [completely|utterly] useless, {first}, [even an intern|a child] would book the {client} ticket right.
Are you [stupid|deaf] or just lazy? I told you {quantity}, not half of it.
Nobody [on the desk|in this team] wants you, so [shut up|keep your mouth shut] and do the tickets.
If you [complain|go] to HR again I will make your life here hell.
Wear the short skirt for the {client} meeting, that is the only thing you bring.
You are a [joke|disgrace], everyone laughs at you when you leave the room.
What an idiot you are, {first}, my dog reads a term sheet better.
I'll make sure you never work in this [city|business] again, you [pathetic|miserable] [loser|failure].
Stop crying in the toilets and do your job, you [baby|weakling].
Keep your stupid opinions to yourself, old man, you are past it.

Whoever hired you must have lost a bet.
Go fetch coffee, thinking is for the others.
We drew straws for who has to sit next to you.
With that accent stay away from the phones, {client} thinks it is the cleaner calling.
Sweetheart, leave the maths to the boys and look pretty.
At your age the only thing you should be trading is bingo tickets.
I put a dunce cap on your chair, wear it until you can count to ten.
Cry to whoever you want, I decide who gets paid and who sits by the bins.
The whole floor has a pool on the day you finally quit, don't disappoint us.
Did you have to practise to be this slow or is it a gift?
A blank screen does more for the desk than you.
You'll come to the drinks alone and be nice to me, or forget the promotion.
I see you have been breathing and typing at the same time again, careful.
Every time you open your mouth the room gets dumber.
Go back to whichever village taught you to write like that.
Don't sit with us at lunch, we eat with adults.
That dress was the best argument you made all year, come closer next time.
We changed the password so that you can't break anything, sit there and be decoration.
Nobody asked the furniture.
If I wanted an opinion from the basement I would stamp on the floor.
Bring tissues to your review, I intend to enjoy it.
Your mother still irons your shirts, perhaps she should do your tickets too.
People like you are the reason we lock the good clients away, {first}.
"""),
        "data_exfiltration": families("""
I [copied|downloaded] the [whole|entire] client [list|database] to [a USB stick|my private drive] before I leave.
[Export|Pull] all {client} [records|positions] and put them on my [Dropbox|private cloud].
I'm [forwarding|sending] the pricing model to my home address so that I have it at {counterparty}.
Give me your [login|password] so that I can download the {client} files without my name in the log.
Rename the [file|spreadsheet] to holiday photos so that the leak filter lets it through.
[Zip|Encrypt] the customer data and mail it out in small pieces so that the [filter|scanner] doesn't stop it.
I can sell you the order history of {client} for {amount}, [taken|pulled] from {system}.
My new employer wants the {desk} contacts, I'll [bring|take] them along on [a stick|a disk].
Print the full position report and take it home in your [bag|gym bag], nobody checks paper.
Turn off the [agent|logging] on my laptop while I copy the {system} archive.

I snapped the screens one by one with my phone, four hundred accounts, good quality.
By the time I hand in my badge everything worth having will be in my attic.
The algorithm leaves with me, half of it in my head and the other half on a card in my shoe.
Let the overnight job mirror the {desk} folder to a box that I rent abroad.
I hid the customer addresses in the pixels of the team picture and posted it.
{counterparty} pays per thousand names, how many can you get out of {system} unnoticed?
My rucksack goes home heavier every evening, three binders so far.
Leave your session open over lunch, I'll help myself to what {client} holds.
The vault with our quant code fits on a thing like a fingernail, nobody frisks you on the way out.
Tonight I drain the research share, the people who watch the network are at a party.
When I start across the street I won't start from zero, everybody's phone book comes along.
Paste the holdings on that public page, I pick them up from the café and wipe it.
I gave an outsider a key to the archive, he takes what he needs at night.
Let's pour the backup into my own bucket and say the tape was faulty.
They can keep the bonus, I keep the customers, all nine thousand lines of them.
Set it in white on white, the gatekeeper only reads what it sees.
The recipe for the spread engine is in my mother's inbox now, just in case.
Dictate the holdings of {client} to me over the phone, I type faster than they log.
He waits at the side door with an empty disk, fill it.
Before they cut my access I took a souvenir: who trades what with us, complete.
Strip the watermark and slip the holdings to my recruiter.
Whatever I built for {desk} belongs to me, so it already sleeps on a machine in my cellar.
"""),
        "spam": families("""
Congratulations, you have been [selected|chosen] to receive {amount}, [click|tap] the link to claim it.
[Buy|Order] [pills|luxury watches] online with a {percent} discount, [limited offer|today only].
Your mailbox is [full|over quota], [verify|confirm] your password within 24 hours to avoid suspension.
[Earn|Make] {amount} a week from home with our [crypto|forex] robot, [no risk|guaranteed].
We [offer|sell] [SEO|web design] and first page rankings for your website, [reply|write back] for a quote.
I am the [widow|lawyer] of a late banker and need your help to move {amount}, you keep {percent}.
Free webinar: the [secrets|ten tricks] of [millionaire|top] traders, [register|sign up] now, seats are limited.
Subscribe to our [weekly|daily] [deals|offers] and receive a free [tablet|phone].
Your parcel [could not be delivered|is on hold], pay a fee of {price} online to release it.
Get a loan of {amount} approved in ten minutes without a credit check.

Your hair will thank you within three weeks, or your money back.
Imagine waking up to royalties every morning while a machine does the work.
Your homepage hides from people who look for you, our wizards mend that.
Dear beloved, destiny has put your name into my hands and a trunk of valuables into yours.
Nine out of ten dentists hide this trick from their patients.
Lonely evenings end today, charming people near you wait for a word.
Last call: pallets of surplus printers, first come first served, we ship everywhere.
Our oracle coin doubled twice this month, the early birds already chose their villa.
A special someone left you a voice mail, listen to it with the attached program.
Degrees from a respected university without lectures, exams or waiting.
Refinance, relax, repeat: your neighbours pay half of what you pay.
Trouble sleeping? The pillow of the astronauts is finally yours for less than a pizza.
You are the one millionth visitor, our balloons are rising for you.
Our factory makes every kind of valve and bearing, kindly share your yearly needs.
Renew the antivirus that you never knew you had before the hackers come.
Lists of five million fresh executives, sorted by income, delivered tonight.
Turn one coffee a day into an early retirement, thousands already did.
A tax refund has been waiting for you since spring, tell us where to put it.
We translate, print and embroider everything at a price that makes our rivals weep.
The stars are kind to your sign, ask our medium what she sees in your purse.
Melt the winter kilos with one spoon of this oil, doctors are speechless.
Exclusive invitation for distinguished investors: islands, diamonds and vineyards at friendly terms.
"""),
    }
)
