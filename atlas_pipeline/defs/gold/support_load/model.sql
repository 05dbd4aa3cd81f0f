-- Support work by day, channel and priority, and what the customers behind it are worth.
SELECT
    t.opened_at::date AS day,
    t.channel,
    t.priority,
    count(*) AS tickets,
    count(*) FILTER (WHERE t.closed_at IS NULL) AS still_open,
    round(avg(extract(EPOCH FROM t.closed_at - t.opened_at)) / 3600, 1) AS hours_to_close,
    round(avg(t.satisfaction), 2) AS satisfaction,
    sum(c.revenue) AS revenue_behind
FROM silver.support_tickets AS t
LEFT JOIN gold.customer_360 AS c ON t.customer_id = c.customer_id
GROUP BY t.opened_at::date, t.channel, t.priority
