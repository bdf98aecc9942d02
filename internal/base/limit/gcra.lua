-- GCRA on one key, as (Rule).take and giveBack in gcra.go. The value is the debt
-- and the moment at which it was due, in microseconds: "DEBT AT".
--
-- ARGV: what one costs; the most that may be due; 0 to take one, 1 to give one
-- back, 2 to look; for how many milliseconds the key is kept beyond its debt; the
-- time, or '' for Redis's own.
-- Returns whether there was, or is, room for one, and what is due then.
local cost, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local debt, ok = 0, 1
local kept = redis.call('GET', KEYS[1])
if kept then
  local due, at = string.match(kept, '^(%d+) (%d+)$')
  if due then
    debt = math.max(0, tonumber(due) - math.max(0, now - tonumber(at)))
  end
end
if ARGV[3] == '1' then
  debt = math.max(0, debt - cost)
elseif debt + cost > most then
  ok = 0
elseif ARGV[3] == '0' then
  debt = debt + cost
end
if debt > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', debt, now), 'PX', math.ceil(debt / 1000) + ARGV[4])
elseif kept then
  redis.call('DEL', KEYS[1])
end
return {ok, debt}
