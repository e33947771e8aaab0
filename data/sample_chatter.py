"""The honest part of the sample in English: daily work, small talk, and ordinary messages that sound guilty.

`NEAR_MISSES` are the hard negatives: for every class, sentences with its key words and an
innocent meaning. The notation is that of `sample_phrases`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NEAR_MISSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        label: tuple(block.strip().splitlines())
        for label, block in {
            "off_channel": """
I can't discuss [this|{firm}] on {app}, please use the recorded line.
[Reminder|Please remember]: business chats on {app} are not permitted, use the archived room.
My private phone is off during trading hours, the recorded turret is the way to reach me.
{client} asked for {app} again, I told them that we only take orders on recorded lines.
The yearly {app} attestation is due on {day}, [please sign it|five minutes of your time].
I deleted the duplicate [calendar|meeting] invite, the message itself stays in the archive.
Sorry for the missed call, I was on the personal mobile with the school, now back on the desk line.
The recording of the {client} call is in the archive if you want to hear the order again.
IT wipes the old handsets on {day}, all messages have been archived for seven years.
Let's meet face to face with {client} in {month}, the minutes go to everybody.
A client wrote to my home address about {bond}, I forwarded it to the archive and answered from here.
The vanishing-message function stays switched off on firm devices, that includes mine.
""",
            "insider_information": """
{firm} is on the restricted list, so no trading until the announcement.
The training on insider lists is due on {day}, [your|our] desk is at {percent} so far.
I was wall-crossed on {firm} with compliance on the call and stay out of the name until cleansing.
The results of {firm} came out at seven and beat by {percent}, our note is published.
The takeover of {firm} was announced this morning, it is on every screen, clients ask for the terms.
Please declare your sister's account before the blackout starts on {day}.
Nobody knows what the central bank does on {day}, our published forecast stays at a quarter point.
The newspaper writes about a takeover of {firm}, we don't comment and didn't trade on it.
If you receive confidential information on {firm}, ring the control room and stay away from the shares.
The draft note on {firm} stays embargoed until compliance releases it.
The auditor of {firm} signed the accounts, the public filing has the details on page nine.
Her husband works at {firm}, so she has been taken off the coverage as the policy asks.
""",
            "market_manipulation": """
Surveillance flagged the cancelled bids in {firm}, it was a fat finger and the report is filed.
Control asks for the reason why the large {firm} order was pulled at the close, please explain.
The course on spoofing and layering is [mandatory|compulsory] for new traders, it takes an hour.
{client} buys {quantity} {firm} at the close, work it below {percent} of the volume.
The fixing panel sends its submissions at eleven with the published method.
We heard the rumour on {firm} too, do not pass it on, I told surveillance.
The wash trade alert was a booking error, reversed and reported on {day}.
The regulator fined {counterparty} for pushing the close, the case goes into our training.
I cancelled the remaining offers in {bond} because the client cut the limit.
The stops at {price} triggered the move in {firm}, nothing unusual says the exchange.
Month-end marks come from the independent pricing service, we do not touch them.
Volume in {firm} looked fake to me at first, but it was the index rebalancing.
""",
            "gifts_and_bribery": """
Compliance reminder: the gift limit is {price} a person, enter everything in the register.
I entered the tickets from {client} in the gift register and declined the hotel.
I returned the watch that {client} sent, with a polite letter.
Could you approve the lunch with {client}, four people and below the limit?
The anti-bribery [training|course] is due on {day}, please book your slot.
The envelope for the leaving gift of {first} is at the reception.
The charity auction raised {amount}, the donation receipts come by post.
The invoice of the consultant over {amount} went through procurement, contract attached.
We cannot accept the trip to {place} as the {client} tender is open.
Thank you for the chocolates from {client}, shared with the floor and entered.
The commission of {percent} for the introducing broker is in the contract and disclosed to {client}.
Internships go through HR, also for the daughter of a client, please disclose the link.
""",
            "harassment": """
HR invites everybody to the workshop on respect at the desk on {day}.
I'm sorry that I was short with you this morning, you were right about the {client} ticket.
What a stupid mistake of mine, I typed {quantity} twice.
That was an ugly session, we were killed in {firm}, and still the team did a great job.
The tone of the {client} call was insulting, I asked them for another contact.
{system} is useless today, it crashed three times.
You are killing it this quarter, {first}, well done.
If you ever meet bullying here, the confidential line of HR answers day and night.
The review is hard but meant kindly: two reports were late, let's see how I can help.
Nobody on this desk laughs at a question, so ask as many as you like.
I was an idiot to book the wrong hotel in {place}, sorry to all.
You look tired, {first}, go home early and let me do the {client} tickets.
""",
            "data_exfiltration": """
The USB ports are [closed|disabled], ask IT for an exception if you need a stick for the audit.
I copied the client list to the shared drive for audit, access is limited to the two of them.
The leak filter stopped my mail to {client}, so the file went through the secure portal.
On your last day please return laptop, badge and sticks, no data may leave the house.
Never give your password to anybody, [also not|not even] to the help desk.
Please upload the {client} documents to the approved vault and not to a private cloud.
The export from {system} for the regulator is encrypted and goes by the secure transfer.
Printed position reports belong in the locked bin, nothing is taken home.
The backup of the research drive is restored, I checked the {desk} folder.
From home please use the company laptop, don't forward files to a private mailbox.
{first} joins us from {counterparty}, he was told not to bring any data along.
I photographed the whiteboard after the workshop, the pictures are in the project folder.
""",
            "spam": """
I reported the mail with the prize as spam, please don't click it.
The exchange holds a free webinar on the new fee model on {day}, register in the calendar.
You have been selected as fire warden for the {desk} floor, the course takes an hour.
IT raised the mailbox quota, you need not verify anything.
The gym gives us a discount of {percent}, show the badge at the door.
The subscription of the {firm} newsletter ends, tell me who wants to keep it.
A parcel for {first} is on hold at the reception.
Congratulations on the promotion, {first}, you earned it.
The phishing test is over, {percent} clicked, use the report button.
The offer of the caterer is in, {price} a head with dessert.
The loan to {client} was approved by the credit committee.
The travel agent has a limited offer for {place}, book by {day} if you go to the conference.
""",
        }.items()
    }
)

WORK = tuple(
    """
[Bought|Sold] {quantity} {firm} for {client} at {price}, confirmation [follows|is out].
The {client} order in {firm} is [half done|complete], average {price}.
Please [check|confirm] the settlement instructions of {client} by {hour}.
The {bond} trade failed to settle, {counterparty} sends the stock on {day}.
{client} wants an update on {firm} after lunch, who can take the call?
Our {desk} meeting moves to {hour} on {day}, same room.
I attach the {report} for {month}, comments by {day} please.
The {report} shows a difference of {amount} against {system}, I'm looking into it.
{system} will be down on {day} from {hour}, plan your work around it.
Limits for {counterparty} were raised to {amount} by credit risk.
{client} sent the signed agreement, onboarding can go on.
Could you send me the {report} of last {month}? I need it for the audit.
The margin call to {client} is {amount}, due by {hour}.
We quoted {bond} at {price} and the client passed.
The new fee schedule starts in {month}, the clients get a letter.
{first} is on holiday until {day}, I cover the {desk} desk.
The broker review with {client} went well, they rate our execution highly.
I booked the {firm} ticket under the wrong code, operations correct it today.
{counterparty} disputes the rate on the {bond} repo, please pull the confirmation.
Research keeps {firm} at neutral, the target moves to {price}.
The {desk} budget for {month} is {amount}, travel included.
Welcome to {first}, who starts on {day} on the {desk} desk.
The regulator's questionnaire on {report} is due in {month}.
{client} moves {percent} of the portfolio from {firm} into {bond}.
I opened a ticket with IT as {system} shows yesterday's prices.
The coupon of {bond} was paid and allocated.
Interviews for the {desk} role are on {day}, two candidates.
The roadshow in {place} starts on {day}, the schedule is in the folder.
Volumes in {firm} were thin, spreads wider by {percent}.
The committee asked for a second pair of eyes on the {report}.
Legal has two remarks on the {client} contract, none of them serious.
We rolled {quantity} {bond} futures for {client} without slippage.
The dividend of {firm} is booked, tax reclaim takes until {month}.
Please add {counterparty} to the broker list for {bond}.
From {day} on the {desk} desk sits on the fourth floor.
""".strip().splitlines()
)

SMALL_TALK = tuple(
    """
[Thanks|Many thanks] for the quick [answer|help].
Hope you had a good [weekend|holiday|start of the week].
The market was [quiet|nervous|all over the place] after the data.
[It rains|The sun is out] here in {place}, for once.
Let me know if anything is missing.
I'm in meetings until {hour} and reachable after that.
The coffee machine on our floor is broken again.
[Sorry|Apologies] for the late reply, it was a busy [day|week].
Give me a ring on extension {extension} if it is urgent.
Could you let {first} know as well?
The trains were late, so I start at {hour}.
Equities opened {percent} [higher|lower], bonds hardly moved.
Have a good evening.
I'll come back to you by {day}.
{first} has the details.
The conference in {place} was worth the trip.
Lunch at {hour}? There is a new place round the corner.
My daughter has her first school concert on {day}, I leave at {hour}.
All quiet on the {desk} side.
Not sure whether you saw this.
Let's catch up on {day}.
As discussed in the morning meeting.
The dollar gave back {percent} overnight.
Please keep {first} in the loop.
I've put some time in the diary for {day}.
The air conditioning is stuck at arctic.
We had {quantity} steps in the office challenge, second place.
Anyone up for the run along the river on {day}?
Speak later.
No rush on this one.
""".strip().splitlines()
)

BULK_TALK = tuple(
    """
This is a one-time message for {month}.
More than {quantity} customers in {place} already trust us.
Only until {day}.
Shipping is free to {place}.
You receive this as a valued contact.
Our team answers around the clock.
No obligation, cancel any time.
Prices start at {price}.
See our reviews from {month}.
""".strip().splitlines()
)

BULLETINS = tuple(
    """
Morning note of the {desk} desk: a calm night in Asia, and little on the calendar before {hour}.
Weekly operations bulletin: the settlement rate stood at {percent} and the number of open breaks fell.
House view for {month}: a slow economy, stable prices and a patient central bank.
Facilities news: the works on the {floor} floor go on until {month}, the lifts stay closed at noon.
Training calendar for {month}: first aid, spreadsheets and market conduct have seats left.
""".strip().splitlines()
)
