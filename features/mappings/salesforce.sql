-- Salesforce objects, one file each under its API name (Account.csv, Contact.csv, …), as Data Loader, the Bulk API or the
-- weekly export write them. Booleans are "true", "1", or blank for false. Files and columns that are absent stay empty.
--
-- Salesforce writes some dates without a time or zone (CloseDate, ConvertedDate, ActivityDate): the configuration must
-- name the zone that they are in (timezone).
--
-- source: Account (Id, IsDeleted, Name, Website, ParentId, NaicsCode, Sic, AnnualRevenue, NumberOfEmployees, Type,
--   BillingCountry, BillingCountryCode, BillingState, BillingStateCode, OwnerId, CreatedDate)
-- source: Contact (Id, IsDeleted, AccountId, Title, ReportsToId, Email, OwnerId, IndividualId, CreatedDate)
-- source: Individual (Id, HasOptedOutProfiling)
-- source: Lead (Id, IsDeleted, Title, Company, Email, Country, CountryCode, AnnualRevenue, NumberOfEmployees, LeadSource,
--   Status, Rating, OwnerId, IsConverted, ConvertedDate, ConvertedAccountId, ConvertedContactId, ConvertedOpportunityId,
--   ProductInterest__c, Solution__c, CreatedDate, LastModifiedDate)
-- source: User (Id, Name, Title, UserType, UserRoleId, Department, Country, CountryCode, TimeZoneSidKey, IsActive,
--   LastLoginDate, LastModifiedDate)
-- source: UserRole (Id, Name)
-- source: Event (Id, IsDeleted, IsChild, OwnerId, AccountId, WhoId, StartDateTime, ActivityDateTime, CreatedDate)
-- source: EventRelation (EventId, RelationId, IsDeleted)
-- source: Task (Id, IsDeleted, OwnerId, WhoId, Status, IsClosed, TaskSubtype, CompletedDateTime, CreatedDate)
-- source: Opportunity (Id, IsDeleted, AccountId, OwnerId, StageName, Probability, Amount, CloseDate, IsClosed, IsWon,
--   Product__c, Solution__c, CreatedDate)
-- source: OpportunityContactRole (Id, IsDeleted, OpportunityId, ContactId, Role, IsPrimary)
-- source: Campaign (Id, IsDeleted, Name, Type, StartDate, EndDate, ActualCost)
-- source: CampaignMember (Id, IsDeleted, CampaignId, ContactId, LeadId, HasResponded, FirstRespondedDate)
-- source: AccountHistory (Id, IsDeleted, AccountId, Field, OldValue, NewValue, CreatedDate)
-- source: ContactHistory (Id, IsDeleted, ContactId, Field, OldValue, NewValue, CreatedDate)
-- source: LeadHistory (Id, IsDeleted, LeadId, Field, OldValue, NewValue, CreatedDate)
-- source: OpportunityFieldHistory (Id, IsDeleted, OpportunityId, Field, OldValue, NewValue, CreatedDate)

CREATE MACRO holds(flag) AS lower(coalesce(flag, '')) IN ('1', 'true', 'yes');
CREATE MACRO iso_country(letters, spelt) AS coalesce(letters, (SELECT c.code FROM country_codes AS c WHERE c.name = lower(trim(spelt))), spelt);
CREATE MACRO account_status(kind) AS CASE
    WHEN kind ILIKE '%former%' OR kind ILIKE '%churned%' THEN 'former'
    WHEN kind ILIKE '%partner%' OR kind ILIKE '%reseller%' THEN 'partner'
    WHEN kind ILIKE '%customer%' OR kind ILIKE '%client%' THEN 'customer'
    WHEN kind ILIKE '%prospect%' THEN 'prospect'
END;
-- A lead's state that ends it without a conversion, and the one before anybody has worked it.
CREATE MACRO turned_down(status) AS coalesce(status ILIKE '%unqualified%' OR status ILIKE '%disqualified%' OR status ILIKE '%reject%'
    OR status ILIKE '%not converted%' OR status ILIKE '%dead%' OR status ILIKE '%junk%', false);
CREATE MACRO untouched(status) AS coalesce(status IS NULL OR status ILIKE 'new%' OR status ILIKE 'open%', true);

CREATE MACRO role_of(described) AS CASE
    WHEN described ILIKE '%business development rep%' OR regexp_matches(described, '\b(BDR|SDR)\b', 'i') THEN 'bdr'
    WHEN described ILIKE '%lead development%' OR regexp_matches(described, '\bLDR\b', 'i') THEN 'ldr'
    WHEN described ILIKE '%channel%' THEN 'channel'
    WHEN described ILIKE '%partner%' OR described ILIKE '%alliance%' THEN 'partner'
    WHEN described ILIKE '%enterprise%' OR described ILIKE '%strategic%' THEN 'enterprise'
    WHEN described ILIKE '%product%' OR described ILIKE '%specialist%' THEN 'product'
    WHEN described ILIKE '%vertical%' OR described ILIKE '%industry%' THEN 'vertical'
    WHEN described ILIKE '%segment%' OR described ILIKE '%mid-market%' OR described ILIKE '%smb%' THEN 'segment'
    WHEN described ILIKE '%regional%' OR described ILIKE '%territory%' OR described ILIKE '%field%' THEN 'regional'
END;

-- step: live_leads
-- one row per: Lead
-- leaves out: deleted | SELECT count(*) FROM Lead WHERE holds(IsDeleted)
-- A lead names its company as text. It is the account of the same name (or id) where there is one.
SELECT
    l.*,
    holds(l.IsConverted) AS converted,
    coalesce(own.Id, same.Id, 'company: ' || lower(trim(l.Company)), 'lead: ' || l.Id) AS account_id,
    own.Id IS NULL AND same.Id IS NULL AS company_made,
    coalesce(person.Id, l.Id) AS contact_id,
    person.Id IS NULL AS contact_made
FROM Lead AS l
LEFT JOIN (SELECT Id FROM Account WHERE NOT holds(IsDeleted)) AS own ON own.Id = l.ConvertedAccountId
LEFT JOIN (
    SELECT min(Id) AS Id, name FROM (
        SELECT Id, lower(trim(Name)) AS name FROM Account WHERE NOT holds(IsDeleted)
        UNION ALL
        SELECT Id, lower(Id) FROM Account WHERE NOT holds(IsDeleted)
    ) GROUP BY name
) AS same ON same.name = lower(trim(l.Company))
LEFT JOIN (
    SELECT c.Id FROM Contact AS c JOIN Account AS a ON a.Id = c.AccountId WHERE NOT holds(c.IsDeleted) AND NOT holds(a.IsDeleted)
) AS person ON person.Id = l.ConvertedContactId
WHERE NOT holds(l.IsDeleted);

-- step: people
-- Contacts and leads under their Salesforce ids: which contact and account of ours each is.
SELECT c.Id AS person, c.Id AS contact_id, c.AccountId AS account_id
FROM Contact AS c
JOIN Account AS a ON a.Id = c.AccountId
WHERE NOT holds(c.IsDeleted) AND NOT holds(a.IsDeleted)
UNION ALL
SELECT l.Id, l.contact_id, coalesce(c.AccountId, l.account_id)
FROM live_leads AS l
LEFT JOIN Contact AS c ON c.Id = l.contact_id;

-- step: owners
-- Whoever owns something, apart from queues (their ids begin with 00G).
SELECT owner, count(*) AS records FROM (
    SELECT OwnerId AS owner FROM Account WHERE NOT holds(IsDeleted)
    UNION ALL SELECT OwnerId FROM live_leads
    UNION ALL SELECT OwnerId FROM Opportunity WHERE NOT holds(IsDeleted)
    UNION ALL SELECT OwnerId FROM Task WHERE NOT holds(IsDeleted)
    UNION ALL SELECT OwnerId FROM Event WHERE NOT holds(IsDeleted)
) WHERE owner IS NOT NULL AND NOT starts_with(owner, '00G')
GROUP BY owner;

-- step: sellers
-- one row per: User
-- leaves out: users who are not people of the company (UserType is not Standard) and own nothing |
--   SELECT count(*) FROM User WHERE coalesce(UserType, 'Standard') <> 'Standard' AND Id NOT IN (SELECT owner FROM owners)
-- makes: owners who are not in User; their name is their id | SELECT count(*) FROM owners WHERE owner NOT IN (SELECT Id FROM User)
SELECT
    u.Id AS rep_id,
    coalesce(u.Name, u.Id) AS name,
    coalesce(r.Name, '') || ' ' || coalesce(u.Title, '') || ' ' || coalesce(u.Department, '') AS described,
    u.TimeZoneSidKey AS timezone,
    iso_country(u.CountryCode, u.Country) AS country,
    CASE WHEN u.IsActive IS NOT NULL AND NOT holds(u.IsActive) THEN coalesce(u.LastLoginDate, u.LastModifiedDate) END AS active_until
FROM User AS u
LEFT JOIN UserRole AS r ON r.Id = u.UserRoleId
WHERE coalesce(u.UserType, 'Standard') = 'Standard' OR u.Id IN (SELECT owner FROM owners)
UNION ALL
SELECT owner, owner, '', NULL, NULL, NULL FROM owners WHERE owner NOT IN (SELECT Id FROM User);

-- step: worked
-- Events and tasks name one person (WhoId); both are kept only when that person and the owner are.
SELECT t.Id, 'task' AS object, t.OwnerId, p.contact_id, p.account_id FROM Task AS t
JOIN people AS p ON p.person = t.WhoId JOIN sellers AS s ON s.rep_id = t.OwnerId
WHERE NOT holds(t.IsDeleted)
UNION ALL
SELECT e.Id, 'event', e.OwnerId, p.contact_id, coalesce(a.Id, p.account_id) FROM Event AS e
LEFT JOIN people AS p ON p.person = e.WhoId
LEFT JOIN (SELECT Id FROM Account WHERE NOT holds(IsDeleted)) AS a ON a.Id = e.AccountId
JOIN sellers AS s ON s.rep_id = e.OwnerId
WHERE NOT holds(e.IsDeleted) AND coalesce(a.Id, p.account_id) IS NOT NULL;

-- step: deals
-- one row per: Opportunity
-- leaves out: deleted | SELECT count(*) FROM Opportunity WHERE holds(IsDeleted)
-- leaves out: without an account, or of one that is not in the export | SELECT count(*) FROM Opportunity
--   WHERE NOT holds(IsDeleted) AND (AccountId IS NULL OR AccountId NOT IN (SELECT Id FROM Account WHERE NOT holds(IsDeleted)))
-- leaves out: without an owner | SELECT count(*) FROM Opportunity WHERE NOT holds(IsDeleted)
--   AND AccountId IN (SELECT Id FROM Account WHERE NOT holds(IsDeleted))
--   AND (OwnerId IS NULL OR OwnerId NOT IN (SELECT rep_id FROM sellers))
SELECT o.*, holds(o.IsClosed) OR o.StageName IN ('Closed Won', 'Closed Lost') AS closed,
    holds(o.IsWon) OR o.StageName = 'Closed Won' AS won
FROM Opportunity AS o
JOIN Account AS a ON a.Id = o.AccountId
JOIN sellers AS s ON s.rep_id = o.OwnerId
WHERE NOT holds(o.IsDeleted) AND NOT holds(a.IsDeleted);

-- step: lead_moves
-- one row per: LeadHistory
-- leaves out: deleted, or of a lead that is not kept | SELECT count(*) - (SELECT count(*) FROM lead_moves) FROM LeadHistory
SELECT h.Id, 'leads' AS table_name, h.LeadId AS row_id, h.Field AS field, h.OldValue AS old, h.NewValue AS new,
    h.CreatedDate AS moved_at
FROM LeadHistory AS h JOIN live_leads AS l ON l.Id = h.LeadId WHERE NOT holds(h.IsDeleted);

-- step: moves
-- one row per: AccountHistory, ContactHistory, lead_moves, OpportunityFieldHistory
-- leaves out: deleted, or of a record that is not kept | SELECT (SELECT count(*) FROM AccountHistory)
--   + (SELECT count(*) FROM ContactHistory) + (SELECT count(*) FROM lead_moves) + (SELECT count(*) FROM OpportunityFieldHistory)
--   - (SELECT count(*) FROM moves)
-- Every recorded change of a field, of records that are kept.
SELECT h.Id, 'accounts' AS table_name, h.AccountId AS row_id, h.Field AS field, h.OldValue AS old, h.NewValue AS new, h.CreatedDate AS moved_at
FROM AccountHistory AS h JOIN Account AS a ON a.Id = h.AccountId WHERE NOT holds(h.IsDeleted) AND NOT holds(a.IsDeleted)
UNION ALL
SELECT h.Id, 'contacts', h.ContactId, h.Field, h.OldValue, h.NewValue, h.CreatedDate
FROM ContactHistory AS h JOIN people AS p ON p.person = h.ContactId WHERE NOT holds(h.IsDeleted)
UNION ALL
SELECT * FROM lead_moves
UNION ALL
SELECT h.Id, 'opportunities', h.OpportunityId, h.Field, h.OldValue, h.NewValue, h.CreatedDate
FROM OpportunityFieldHistory AS h JOIN deals AS d ON d.Id = h.OpportunityId WHERE NOT holds(h.IsDeleted);

-- step: tracked
-- The present values of the fields whose history we read. An owner's history has a row of names beside the row of ids.
SELECT 'accounts' AS table_name, Id AS row_id, f.field, f.column_name, f.value, CreatedDate AS created
FROM Account, LATERAL (VALUES ('Type', 'status', Type), ('Owner', 'owner_rep_id', OwnerId),
    ('AnnualRevenue', 'annual_revenue', AnnualRevenue), ('NumberOfEmployees', 'employees', NumberOfEmployees)) AS f(field, column_name, value)
WHERE NOT holds(IsDeleted)
UNION ALL
SELECT 'contacts', Id, f.field, f.column_name, f.value, CreatedDate
FROM Contact, LATERAL (VALUES ('Title', 'title', Title), ('Account', 'account_id', AccountId),
    ('ReportsTo', 'reports_to', ReportsToId)) AS f(field, column_name, value)
WHERE Id IN (SELECT person FROM people)
UNION ALL
SELECT 'leads', Id, 'Rating', 'grade', Rating, CreatedDate FROM live_leads
UNION ALL
SELECT 'opportunities', Id, f.field, f.column_name, f.value, CreatedDate
FROM deals, LATERAL (VALUES ('StageName', 'stage', StageName), ('Probability', 'forecast_weight', Probability),
    ('Amount', 'amount', Amount), ('CloseDate', 'expected_close', CloseDate)) AS f(field, column_name, value);

-- step: tellable
-- Moves of tracked fields, without the rows that give the names beside the ids, the last one where two share an instant.
SELECT m.*, t.column_name, t.created FROM moves AS m
JOIN tracked AS t USING (table_name, row_id, field)
WHERE (m.field <> 'Owner' OR m.new IN (SELECT rep_id FROM sellers))
    AND (m.field <> 'Account' OR m.new IN (SELECT Id FROM Account))
    AND (m.field <> 'ReportsTo' OR m.new IS NULL OR m.new IN (SELECT person FROM people))
QUALIFY row_number() OVER (PARTITION BY table_name, row_id, field, moved_at ORDER BY m.Id DESC) = 1;

-- step: terms
-- Who owned a lead from when to when: each owner in turn, the first since the lead was created.
-- takes: the present owner since the lead was created, where no change of owner is recorded | SELECT count(*) FROM live_leads
--   WHERE Id NOT IN (SELECT row_id FROM lead_moves WHERE field = 'Owner')
WITH turns AS (
    SELECT m.Id, m.row_id AS lead_id, m.old, m.new, m.moved_at FROM lead_moves AS m
    WHERE m.field = 'Owner'
        AND (m.new IN (SELECT rep_id FROM sellers) OR starts_with(coalesce(m.new, ''), '00G'))
), owned AS (
    SELECT l.Id || '-0' AS term, l.Id AS lead_id, l.CreatedDate AS since,
        coalesce((SELECT arg_min(t.old, t.moved_at) FROM turns AS t WHERE t.lead_id = l.Id), CASE WHEN NOT EXISTS
            (SELECT 1 FROM turns AS t WHERE t.lead_id = l.Id) THEN l.OwnerId END) AS owner
    FROM live_leads AS l
    UNION ALL
    SELECT Id, lead_id, moved_at, new FROM turns
)
SELECT *, lead(since) OVER (PARTITION BY lead_id ORDER BY since, term) AS until FROM owned;

-- table: reps
-- one row per: sellers
-- takes: the role inside, where neither the UserRole nor the title of a user says another | SELECT count(*) FROM sellers
--   WHERE role_of(described) IS NULL
SELECT rep_id, name,
    coalesce(role_of(described), 'inside') AS role,
    timezone, country, active_until
FROM sellers;

-- table: accounts
-- one row per: Account
-- leaves out: deleted | SELECT count(*) FROM Account WHERE holds(IsDeleted)
-- makes: companies that leads name and that are no account yet | SELECT count(DISTINCT account_id) FROM live_leads WHERE company_made
-- An account is known since its first lead: it was made when that lead was converted.
SELECT a.Id AS account_id, coalesce(a.Name, a.Id) AS name,
    regexp_extract(lower(a.Website), '^(?:https?://)?(?:www\.)?([^/:]+)', 1) AS domain,
    p.Id AS parent_account_id, a.NaicsCode AS naics, a.Sic AS sic, a.AnnualRevenue AS annual_revenue,
    a.NumberOfEmployees AS employees, iso_country(a.BillingCountryCode, a.BillingCountry) AS country,
    coalesce(a.BillingStateCode, a.BillingState) AS region, account_status(a.Type) AS status, s.rep_id AS owner_rep_id,
    least(a.CreatedDate, f.first_lead) AS created_at
FROM Account AS a
LEFT JOIN (SELECT Id FROM Account WHERE NOT holds(IsDeleted)) AS p ON p.Id = a.ParentId
LEFT JOIN sellers AS s ON s.rep_id = a.OwnerId
LEFT JOIN (SELECT account_id, min(CreatedDate) AS first_lead FROM live_leads GROUP BY account_id) AS f ON f.account_id = a.Id
WHERE NOT holds(a.IsDeleted)
UNION ALL
SELECT account_id, coalesce(min(Company), account_id), NULL, NULL, NULL, NULL, arg_min(AnnualRevenue, CreatedDate),
    arg_min(NumberOfEmployees, CreatedDate), iso_country(arg_min(CountryCode, CreatedDate), arg_min(Country, CreatedDate)),
    NULL, NULL, NULL, min(CreatedDate)
FROM live_leads WHERE company_made GROUP BY account_id;

-- table: contacts
-- one row per: Contact
-- leaves out: deleted | SELECT count(*) FROM Contact WHERE holds(IsDeleted)
-- leaves out: without an account, or of one that is not in the export | SELECT count(*) FROM Contact
--   WHERE NOT holds(IsDeleted) AND (AccountId IS NULL OR AccountId NOT IN (SELECT Id FROM Account WHERE NOT holds(IsDeleted)))
-- makes: people of leads who are no contact yet | SELECT count(*) FROM live_leads WHERE contact_made
SELECT c.Id AS contact_id, c.AccountId AS account_id, c.Title AS title, r.person AS reports_to, c.Email AS email,
    i.HasOptedOutProfiling AS objects_to_profiling, least(c.CreatedDate, f.first_lead) AS created_at
FROM Contact AS c
JOIN Account AS a ON a.Id = c.AccountId
LEFT JOIN Individual AS i ON i.Id = c.IndividualId
LEFT JOIN (SELECT DISTINCT person FROM people) AS r ON r.person = c.ReportsToId
LEFT JOIN (SELECT contact_id, min(CreatedDate) AS first_lead FROM live_leads GROUP BY contact_id) AS f ON f.contact_id = c.Id
WHERE NOT holds(c.IsDeleted) AND NOT holds(a.IsDeleted)
UNION ALL
SELECT contact_id, account_id, Title, NULL, Email, NULL, CreatedDate FROM live_leads WHERE contact_made;

-- table: leads
-- one row per: live_leads
-- takes: the solution "unspecified", where neither ProductInterest__c nor Solution__c names one | SELECT count(*) FROM live_leads
--   WHERE ProductInterest__c IS NULL AND Solution__c IS NULL
SELECT l.Id AS lead_id, l.contact_id, p.account_id, coalesce(l.ProductInterest__c, l.Solution__c, 'unspecified') AS solution,
    l.LeadSource AS source, l.CreatedDate AS created_at, l.Rating AS grade,
    CASE
        WHEN l.converted AND coalesce(l.ConvertedDate, '') > left(l.CreatedDate, 10) THEN l.ConvertedDate
        WHEN l.converted THEN l.CreatedDate
        WHEN turned_down(l.Status) THEN coalesce((SELECT max(m.moved_at) FROM lead_moves AS m
            WHERE m.row_id = l.Id AND m.field = 'Status'), l.LastModifiedDate)
    END AS closed_at
FROM live_leads AS l
JOIN people AS p ON p.person = l.Id;

-- table: offers
-- one row per: terms
-- leaves out: nobody or a queue owned the lead | SELECT count(*) FROM terms
--   WHERE owner IS NULL OR owner NOT IN (SELECT rep_id FROM sellers)
-- An owner is offered the lead. The answer is what happened to its status while it was the owner's: moved on from new or
-- open, or converted: accepted; turned down: rejected; given to another: reassigned; else it is not decided yet.
WITH answers AS (
    SELECT t.term,
        min(m.moved_at) FILTER (NOT untouched(m.new) AND NOT turned_down(m.new)) AS accepted_at,
        min(m.moved_at) FILTER (turned_down(m.new)) AS rejected_at
    FROM terms AS t
    JOIN lead_moves AS m ON m.row_id = t.lead_id AND m.field = 'Status'
        AND m.moved_at >= t.since AND (t.until IS NULL OR m.moved_at < t.until)
    GROUP BY t.term
), ends AS (
    SELECT t.*, a.accepted_at, a.rejected_at, d.Id AS opportunity_id,
        -- ConvertedDate has no time; where it is the day of the offer itself, the offer's instant is the nearest that is known.
        CASE WHEN l.converted AND t.until IS NULL THEN CASE WHEN d.CreatedDate >= t.since THEN d.CreatedDate
            WHEN l.ConvertedDate > left(t.since, 10) THEN l.ConvertedDate ELSE t.since END END AS converted
    FROM terms AS t
    JOIN live_leads AS l ON l.Id = t.lead_id
    LEFT JOIN answers AS a USING (term)
    LEFT JOIN deals AS d ON d.Id = l.ConvertedOpportunityId AND t.until IS NULL
)
SELECT term AS offer_id, lead_id, owner AS rep_id, since AS offered_at,
    CASE
        WHEN accepted_at IS NOT NULL OR converted IS NOT NULL THEN 'accepted'
        WHEN rejected_at IS NOT NULL THEN 'rejected'
        WHEN until IS NOT NULL THEN 'reassigned'
    END AS answer,
    coalesce(accepted_at, converted, rejected_at, until) AS answered_at,
    opportunity_id,
    CASE WHEN opportunity_id IS NOT NULL THEN converted END AS converted_at
FROM ends
WHERE owner IN (SELECT rep_id FROM sellers);

-- table: opportunities
-- one row per: deals
SELECT d.Id AS opportunity_id, d.AccountId AS account_id, d.OwnerId AS rep_id, r.contact_id,
    coalesce(d.Solution__c, d.Product__c) AS solution, d.StageName AS stage,
    coalesce(CAST(try_cast(d.Probability AS DOUBLE) / 100 AS VARCHAR), d.Probability) AS forecast_weight,
    d.Amount AS amount, d.CreatedDate AS opened_at, d.CloseDate AS expected_close,
    CASE WHEN d.closed THEN d.CloseDate END AS closed_at,
    CASE WHEN d.won THEN 'won' WHEN d.closed THEN 'lost' END AS outcome
FROM deals AS d
LEFT JOIN (
    SELECT o.OpportunityId, min(p.contact_id) AS contact_id FROM OpportunityContactRole AS o
    JOIN people AS p ON p.person = o.ContactId WHERE holds(o.IsPrimary) AND NOT holds(o.IsDeleted) GROUP BY o.OpportunityId
) AS r ON r.OpportunityId = d.Id;

-- table: opportunity_contacts
-- one row per: OpportunityContactRole
-- leaves out: deleted | SELECT count(*) FROM OpportunityContactRole WHERE holds(IsDeleted)
-- leaves out: of an opportunity or contact that is not kept | SELECT count(*) FROM OpportunityContactRole
--   WHERE NOT holds(IsDeleted) AND (OpportunityId NOT IN (SELECT Id FROM deals) OR ContactId NOT IN (SELECT person FROM people))
-- leaves out: the same contact in a second role | SELECT count(*) - count(DISTINCT (OpportunityId, ContactId))
--   FROM OpportunityContactRole WHERE NOT holds(IsDeleted) AND OpportunityId IN (SELECT Id FROM deals) AND ContactId IN (SELECT person FROM people)
SELECT OpportunityId AS opportunity_id, ContactId AS contact_id, min(Role) AS role FROM OpportunityContactRole
WHERE NOT holds(IsDeleted) AND OpportunityId IN (SELECT Id FROM deals) AND ContactId IN (SELECT person FROM people)
GROUP BY OpportunityId, ContactId;

-- table: meetings
-- one row per: Event
-- leaves out: deleted | SELECT count(*) FROM Event WHERE holds(IsDeleted)
-- leaves out: the copy of an invited colleague (IsChild) | SELECT count(*) FROM Event WHERE NOT holds(IsDeleted) AND holds(IsChild)
-- leaves out: with nobody of a kept account, or without an owner | SELECT count(*) FROM Event
--   WHERE NOT holds(IsDeleted) AND NOT holds(IsChild) AND Id NOT IN (SELECT Id FROM worked WHERE object = 'event')
SELECT e.Id AS meeting_id, e.OwnerId AS rep_id, w.account_id, w.contact_id,
    coalesce(e.StartDateTime, e.ActivityDateTime) AS starts_at, e.CreatedDate AS created_at
FROM Event AS e
JOIN worked AS w ON w.Id = e.Id AND w.object = 'event'
WHERE NOT holds(e.IsChild);

-- table: meeting_contacts
-- one row per: EventRelation
-- leaves out: deleted | SELECT count(*) FROM EventRelation WHERE holds(IsDeleted)
-- leaves out: not a kept contact in a kept event | SELECT count(*) FROM EventRelation AS r LEFT JOIN people AS p ON p.person = r.RelationId
--   LEFT JOIN Event AS e ON e.Id = r.EventId AND NOT holds(e.IsChild) LEFT JOIN worked AS w ON w.Id = e.Id AND w.object = 'event'
--   WHERE NOT holds(r.IsDeleted) AND (p.person IS NULL OR w.Id IS NULL)
SELECT DISTINCT r.EventId AS meeting_id, p.contact_id
FROM EventRelation AS r
JOIN people AS p ON p.person = r.RelationId
JOIN Event AS e ON e.Id = r.EventId AND NOT holds(e.IsChild)
JOIN worked AS w ON w.Id = e.Id AND w.object = 'event'
WHERE NOT holds(r.IsDeleted);

-- table: touches
-- one row per: Task
-- leaves out: deleted | SELECT count(*) FROM Task WHERE holds(IsDeleted)
-- leaves out: not completed, so nothing happened yet | SELECT count(*) FROM Task
--   WHERE NOT holds(IsDeleted) AND NOT (holds(IsClosed) OR coalesce(Status, '') = 'Completed')
-- leaves out: completed, but with nobody who is kept, or without an owner | SELECT count(*) FROM Task
--   WHERE NOT holds(IsDeleted) AND (holds(IsClosed) OR Status = 'Completed') AND Id NOT IN (SELECT Id FROM worked WHERE object = 'task')
SELECT t.Id AS touch_id, t.OwnerId AS rep_id, w.contact_id, lower(coalesce(t.TaskSubtype, 'task')) AS kind,
    coalesce(t.CompletedDateTime, t.CreatedDate) AS occurred_at
FROM Task AS t
JOIN worked AS w ON w.Id = t.Id AND w.object = 'task'
WHERE holds(t.IsClosed) OR t.Status = 'Completed';

-- table: campaigns
-- one row per: Campaign
-- leaves out: deleted | SELECT count(*) FROM Campaign WHERE holds(IsDeleted)
SELECT Id AS campaign_id, coalesce(Name, Id) AS name, Type AS kind, StartDate AS starts_at, EndDate AS ends_at, ActualCost AS cost
FROM Campaign WHERE NOT holds(IsDeleted);

-- table: activities
-- one row per: CampaignMember
-- leaves out: deleted | SELECT count(*) FROM CampaignMember WHERE holds(IsDeleted)
-- leaves out: did not respond, or at no known time | SELECT count(*) FROM CampaignMember
--   WHERE NOT holds(IsDeleted) AND (NOT holds(HasResponded) OR FirstRespondedDate IS NULL)
-- leaves out: of nobody who is kept | SELECT count(*) FROM CampaignMember WHERE NOT holds(IsDeleted) AND holds(HasResponded)
--   AND FirstRespondedDate IS NOT NULL AND coalesce(ContactId, LeadId, '') NOT IN (SELECT person FROM people)
SELECT m.Id AS activity_id, p.contact_id, lower(coalesce(c.Type, 'response')) AS kind, c.Id AS campaign_id,
    m.FirstRespondedDate AS occurred_at
FROM CampaignMember AS m
JOIN people AS p ON p.person = coalesce(m.ContactId, m.LeadId)
LEFT JOIN (SELECT Id, Type FROM Campaign WHERE NOT holds(IsDeleted)) AS c ON c.Id = m.CampaignId
WHERE NOT holds(m.IsDeleted) AND holds(m.HasResponded) AND m.FirstRespondedDate IS NOT NULL;

-- table: changes
-- one row per: moves
-- leaves out: of a field whose history is not read, or the row of names beside the row of ids, or a second change at the
--   same instant | SELECT (SELECT count(*) FROM moves) - (SELECT count(*) FROM tellable)
-- makes: the value from which recording starts: what it was before a record's first change, or what it still is |
--   SELECT count(*) FROM tracked AS t
--   JOIN (SELECT table_name, field, min(moved_at) AS start FROM tellable GROUP BY ALL) AS s USING (table_name, field)
--   LEFT JOIN (SELECT table_name, row_id, field, min(moved_at) AS first FROM tellable GROUP BY ALL) AS m USING (table_name, row_id, field)
--   WHERE m.first IS NULL OR m.first > greatest(t.created, s.start)
-- A history is recorded from some day on, and kept for a while. From the first change that the export knows of a field, a
-- record without one has not changed; before that day, nothing is known and nothing is said.
WITH told AS (
    SELECT table_name, row_id, field, column_name, new AS value, moved_at AS valid_from FROM tellable
    UNION ALL
    SELECT t.table_name, t.row_id, t.field, t.column_name, CASE WHEN m.first IS NULL THEN t.value ELSE m.old END, greatest(t.created, s.start)
    FROM tracked AS t
    JOIN (SELECT table_name, field, min(moved_at) AS start FROM tellable GROUP BY ALL) AS s USING (table_name, field)
    LEFT JOIN (SELECT table_name, row_id, field, min(moved_at) AS first, arg_min(old, moved_at) AS old FROM tellable GROUP BY ALL) AS m
        USING (table_name, row_id, field)
    WHERE m.first IS NULL OR m.first > greatest(t.created, s.start)
)
SELECT table_name, row_id, column_name,
    CASE field WHEN 'Type' THEN account_status(value)
        WHEN 'Probability' THEN coalesce(CAST(try_cast(value AS DOUBLE) / 100 AS VARCHAR), value) ELSE value END AS value,
    valid_from
FROM told;
