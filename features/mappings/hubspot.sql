-- HubSpot objects as a replication tool lays them out: one file per table (company_data.csv, contact_data.csv, …), names in
-- snake_case, most columns prefixed property_. Files and columns that are absent stay empty.
--
-- The replication writes UTC without saying so: set timezone: UTC in the configuration.
--
-- source: company_data (id, is_deleted, property_name, property_domain, property_createdate, property_country, property_state,
--   property_annualrevenue, property_numberofemployees, property_type, property_lifecyclestage, property_hubspot_owner_id,
--   property_hs_parent_company_id, property_naics_code, property_sic_code)
-- source: contact_data (id, _fivetran_deleted, property_email, property_company, property_jobtitle, property_createdate,
--   property_associatedcompanyid, property_hubspot_owner_id, property_hubspot_owner_assigneddate,
--   property_hs_lifecyclestage_marketingqualifiedlead_date, property_hs_analytics_source, property_hs_lead_status,
--   property_hubspotscore, property_product_interest)
-- source: contact_company_data (contact_id, company_id)
-- source: contact_form_submission_data (contact_id, conversion_id, form_id, title, timestamp)
-- source: deal_data (deal_id, is_deleted, deal_pipeline_stage_id, owner_id, property_amount, property_createdate,
--   property_closedate, property_product)
-- source: deal_company_data (deal_id, company_id)
-- source: deal_contact_data (deal_id, contact_id)
-- source: deal_stage_data (deal_id, value, date_entered)
-- source: deal_pipeline_stage_data (stage_id, label, probability, is_closed, closed_won)
-- source: owner_data (owner_id, email, first_name, last_name)
-- source: engagement_data (id, type, owner_id, created_at, timestamp)
-- source: engagement_meeting_data (engagement_id, start_time, meeting_outcome)
-- source: engagement_company_data (engagement_id, company_id)
-- source: engagement_contact_data (engagement_id, contact_id)
-- note: a lead is a contact that became a marketing qualified lead, once, on the day that HubSpot keeps for it
-- note: timestamps carry no zone; they are read in the configuration's timezone, which should be UTC

CREATE MACRO holds(flag) AS lower(coalesce(flag, '')) IN ('1', 'true', 'yes');
-- "2020-12-30 3:15:52" is "2020-12-30 03:15:52".
CREATE MACRO two_digit_hour(instant) AS regexp_replace(instant, '^(\d{4}-\d{2}-\d{2}) (\d):', '\1 0\2:');
CREATE MACRO iso_country(spelt) AS coalesce((SELECT c.code FROM country_codes AS c WHERE c.name = lower(trim(spelt))), spelt);

-- step: companies
-- one row per: company_data
-- leaves out: deleted | SELECT count(*) FROM company_data WHERE holds(is_deleted)
SELECT * FROM company_data WHERE NOT holds(is_deleted);

-- step: people
-- one row per: contact_data
-- leaves out: deleted | SELECT count(*) FROM contact_data WHERE holds(_fivetran_deleted)
-- leaves out: without a company that is kept | SELECT (SELECT count(*) FROM contact_data WHERE NOT holds(_fivetran_deleted))
--   - (SELECT count(*) FROM people)
-- A contact's company: the linked one, else the associated one, else the one of the name that the contact gives.
SELECT c.*, coalesce(l.company_id, a.id, n.id) AS account_id
FROM contact_data AS c
LEFT JOIN (
    SELECT contact_id, min(company_id) AS company_id FROM contact_company_data
    WHERE company_id IN (SELECT id FROM companies) GROUP BY contact_id
) AS l ON l.contact_id = c.id
LEFT JOIN companies AS a ON a.id = c.property_associatedcompanyid
LEFT JOIN (SELECT lower(trim(property_name)) AS name, min(id) AS id FROM companies GROUP BY 1) AS n
    ON n.name = lower(trim(c.property_company))
WHERE NOT holds(c._fivetran_deleted) AND coalesce(l.company_id, a.id, n.id) IS NOT NULL;

-- step: deals
-- one row per: deal_data
-- leaves out: deleted | SELECT count(*) FROM deal_data WHERE holds(is_deleted)
-- leaves out: without an owner | SELECT count(*) FROM deal_data WHERE NOT holds(is_deleted) AND owner_id IS NULL
-- leaves out: without a company that is kept | SELECT count(*) FROM deal_data WHERE NOT holds(is_deleted) AND owner_id IS NOT NULL
--   AND deal_id NOT IN (SELECT deal_id FROM deals)
SELECT d.*, c.company_id, s.label, s.probability, holds(s.is_closed) AS closed, holds(s.closed_won) AS won
FROM deal_data AS d
JOIN (
    SELECT deal_id, min(company_id) AS company_id FROM deal_company_data
    WHERE company_id IN (SELECT id FROM companies) GROUP BY deal_id
) AS c ON c.deal_id = d.deal_id
LEFT JOIN deal_pipeline_stage_data AS s ON s.stage_id = d.deal_pipeline_stage_id
WHERE NOT holds(d.is_deleted) AND d.owner_id IS NOT NULL;

-- step: sellers
-- one row per: owner_data
-- makes: owners of deals, contacts, companies and engagements who are not in owner_data; their name is their id |
--   SELECT count(*) FROM sellers WHERE rep_id NOT IN (SELECT owner_id FROM owner_data)
SELECT owner_id AS rep_id, coalesce(nullif(trim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')), ''), email, owner_id) AS name
FROM owner_data
UNION ALL
SELECT DISTINCT owner, owner FROM (
    SELECT owner_id AS owner FROM deal_data WHERE NOT holds(is_deleted)
    UNION ALL SELECT property_hubspot_owner_id FROM people
    UNION ALL SELECT property_hubspot_owner_id FROM companies
    UNION ALL SELECT owner_id FROM engagement_data
) WHERE owner IS NOT NULL AND owner NOT IN (SELECT owner_id FROM owner_data);

-- step: qualified
-- one row per: people
-- leaves out: never a marketing qualified lead | SELECT count(*) FROM people
--   WHERE property_hs_lifecyclestage_marketingqualifiedlead_date IS NULL
SELECT *, 'mql-' || id AS lead_id, two_digit_hour(property_hs_lifecyclestage_marketingqualifiedlead_date) AS qualified
FROM people WHERE property_hs_lifecyclestage_marketingqualifiedlead_date IS NOT NULL;

-- step: engaged
-- An engagement with its owner, and the first contact and company that are linked to it and kept.
SELECT e.id, upper(e.type) AS type, e.owner_id, two_digit_hour(coalesce(e.timestamp, e.created_at)) AS happened,
    two_digit_hour(e.created_at) AS created, p.contact_id, coalesce(c.company_id, p.account_id) AS account_id
FROM engagement_data AS e
LEFT JOIN (
    SELECT l.engagement_id, min(k.id) AS contact_id, arg_min(k.account_id, k.id) AS account_id
    FROM engagement_contact_data AS l JOIN people AS k ON k.id = l.contact_id GROUP BY l.engagement_id
) AS p ON p.engagement_id = e.id
LEFT JOIN (
    SELECT engagement_id, min(company_id) AS company_id FROM engagement_company_data
    WHERE company_id IN (SELECT id FROM companies) GROUP BY engagement_id
) AS c ON c.engagement_id = e.id
WHERE e.owner_id IS NOT NULL;

-- table: reps
-- one row per: sellers
-- takes: the role inside: HubSpot keeps none | SELECT count(*) FROM sellers
SELECT rep_id, name, 'inside' AS role FROM sellers;

-- table: accounts
-- one row per: companies
SELECT c.id AS account_id, coalesce(c.property_name, c.property_domain, c.id) AS name, c.property_domain AS domain,
    p.id AS parent_account_id, c.property_naics_code AS naics, c.property_sic_code AS sic,
    c.property_annualrevenue AS annual_revenue, c.property_numberofemployees AS employees,
    iso_country(c.property_country) AS country, c.property_state AS region,
    CASE
        WHEN c.property_type ILIKE '%partner%' OR c.property_type ILIKE '%reseller%' THEN 'partner'
        WHEN c.property_lifecyclestage = 'customer' THEN 'customer'
        WHEN c.property_type ILIKE '%prospect%' OR c.property_lifecyclestage IN ('lead', 'marketingqualifiedlead', 'salesqualifiedlead', 'opportunity')
            THEN 'prospect'
    END AS status,
    s.rep_id AS owner_rep_id, two_digit_hour(c.property_createdate) AS created_at
FROM companies AS c
LEFT JOIN companies AS p ON p.id = c.property_hs_parent_company_id
LEFT JOIN sellers AS s ON s.rep_id = c.property_hubspot_owner_id;

-- table: contacts
-- one row per: people
SELECT id AS contact_id, account_id, property_jobtitle AS title, property_email AS email,
    two_digit_hour(property_createdate) AS created_at
FROM people;

-- table: leads
-- one row per: qualified
-- takes: the solution "unspecified", where property_product_interest names none | SELECT count(*) FROM qualified
--   WHERE property_product_interest IS NULL
SELECT lead_id, id AS contact_id, account_id, coalesce(property_product_interest, 'unspecified') AS solution,
    property_hs_analytics_source AS source, qualified AS created_at
FROM qualified;

-- table: offers
-- one row per: qualified
-- leaves out: without an owner | SELECT count(*) FROM qualified WHERE property_hubspot_owner_id IS NULL
-- takes: the day of qualification as that of the offer, where no later assignment is recorded | SELECT count(*) FROM qualified
--   WHERE property_hubspot_owner_id IS NOT NULL
--   AND coalesce(two_digit_hour(property_hubspot_owner_assigneddate), '') <= qualified
-- The present owner is offered the lead. When a lead status was set is not kept, so an answer has no instant.
SELECT lead_id AS offer_id, lead_id, property_hubspot_owner_id AS rep_id,
    greatest(qualified, two_digit_hour(property_hubspot_owner_assigneddate)) AS offered_at,
    CASE WHEN upper(property_hs_lead_status) IN ('IN_PROGRESS', 'OPEN_DEAL', 'CONNECTED', 'ATTEMPTED_TO_CONTACT') THEN 'accepted'
        WHEN upper(property_hs_lead_status) IN ('UNQUALIFIED', 'BAD_TIMING') THEN 'rejected' END AS answer
FROM qualified WHERE property_hubspot_owner_id IS NOT NULL;

-- table: opportunities
-- one row per: deals
SELECT deal_id AS opportunity_id, company_id AS account_id, owner_id AS rep_id, property_product AS solution,
    coalesce(label, deal_pipeline_stage_id) AS stage, probability AS forecast_weight, property_amount AS amount,
    two_digit_hour(property_createdate) AS opened_at, two_digit_hour(property_closedate) AS expected_close,
    CASE WHEN closed THEN two_digit_hour(property_closedate) END AS closed_at,
    CASE WHEN won THEN 'won' WHEN closed THEN 'lost' END AS outcome
FROM deals;

-- table: opportunity_contacts
-- one row per: deal_contact_data
-- leaves out: a deal or contact that is not kept, or the same pair again |
--   SELECT count(*) - (SELECT count(DISTINCT (deal_id, contact_id)) FROM deal_contact_data
--     WHERE deal_id IN (SELECT deal_id FROM deals) AND contact_id IN (SELECT id FROM people)) FROM deal_contact_data
SELECT DISTINCT deal_id AS opportunity_id, contact_id FROM deal_contact_data
WHERE deal_id IN (SELECT deal_id FROM deals) AND contact_id IN (SELECT id FROM people);

-- table: meetings
-- one row per: engagement_meeting_data
-- takes: the start as the instant of a cancellation, which is not kept | SELECT count(*) FROM engagement_meeting_data
--   WHERE upper(meeting_outcome) IN ('CANCELED', 'CANCELLED')
-- leaves out: its engagement, or that one's owner or company, is not in the export | SELECT count(*) FROM engagement_meeting_data
--   WHERE engagement_id NOT IN (SELECT id FROM engaged WHERE account_id IS NOT NULL)
SELECT m.engagement_id AS meeting_id, e.owner_id AS rep_id, e.account_id, e.contact_id, two_digit_hour(m.start_time) AS starts_at,
    e.created AS created_at,
    CASE WHEN upper(m.meeting_outcome) IN ('CANCELED', 'CANCELLED') THEN two_digit_hour(m.start_time) END AS cancelled_at
FROM engagement_meeting_data AS m
JOIN engaged AS e ON e.id = m.engagement_id
WHERE e.account_id IS NOT NULL;

-- table: meeting_contacts
-- one row per: engagement_contact_data
-- leaves out: not a kept contact in a kept meeting, or the same pair again |
--   SELECT count(*) - (SELECT count(DISTINCT (l.engagement_id, l.contact_id)) FROM engagement_contact_data AS l
--     JOIN engagement_meeting_data AS m USING (engagement_id) JOIN engaged AS e ON e.id = l.engagement_id
--     WHERE e.account_id IS NOT NULL AND l.contact_id IN (SELECT id FROM people)) FROM engagement_contact_data
SELECT DISTINCT l.engagement_id AS meeting_id, l.contact_id FROM engagement_contact_data AS l
JOIN engagement_meeting_data AS m USING (engagement_id)
JOIN engaged AS e ON e.id = l.engagement_id
WHERE e.account_id IS NOT NULL AND l.contact_id IN (SELECT id FROM people);

-- table: touches
-- one row per: engagement_data
-- leaves out: not a call or an email to a kept contact by an owner | SELECT count(*) FROM engagement_data
--   WHERE id NOT IN (SELECT id FROM engaged WHERE type IN ('CALL', 'EMAIL') AND contact_id IS NOT NULL)
SELECT id AS touch_id, owner_id AS rep_id, contact_id, lower(type) AS kind, happened AS occurred_at
FROM engaged WHERE type IN ('CALL', 'EMAIL') AND contact_id IS NOT NULL;

-- table: activities
-- one row per: contact_form_submission_data
-- leaves out: of a contact that is not kept | SELECT count(*) FROM contact_form_submission_data
--   WHERE contact_id NOT IN (SELECT id FROM people)
SELECT contact_id, 'form' AS kind, two_digit_hour(timestamp) AS occurred_at FROM contact_form_submission_data
WHERE contact_id IN (SELECT id FROM people);

-- table: changes
-- one row per: deal_stage_data
-- leaves out: of a deal that is not kept, or a second one at the same instant | SELECT count(*) - (SELECT count(DISTINCT (deal_id, date_entered))
--   FROM deal_stage_data WHERE deal_id IN (SELECT deal_id FROM deals)) FROM deal_stage_data
-- makes: the forecast weight of a stage, beside the stage | SELECT count(DISTINCT (h.deal_id, h.date_entered)) FROM deal_stage_data AS h
--   JOIN deal_pipeline_stage_data AS s ON s.stage_id = h.value WHERE h.deal_id IN (SELECT deal_id FROM deals)
WITH entered AS (
    SELECT h.deal_id, h.value AS stage_id, two_digit_hour(h.date_entered) AS valid_from FROM deal_stage_data AS h
    WHERE h.deal_id IN (SELECT deal_id FROM deals)
    QUALIFY row_number() OVER (PARTITION BY h.deal_id, h.date_entered ORDER BY h.value) = 1
)
SELECT 'opportunities' AS table_name, h.deal_id AS row_id, 'stage' AS column_name, coalesce(s.label, h.stage_id) AS value, h.valid_from
FROM entered AS h LEFT JOIN deal_pipeline_stage_data AS s USING (stage_id)
UNION ALL
SELECT 'opportunities', h.deal_id, 'forecast_weight', s.probability, h.valid_from
FROM entered AS h JOIN deal_pipeline_stage_data AS s USING (stage_id);
