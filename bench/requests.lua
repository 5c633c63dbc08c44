-- What wrk sends: the plan file is Lua that returns { method, headers, paths, cookieFile, bodyBytes, delayMs }.
function init(args)
  local plan = dofile(args[1])
  local cookies = {}
  for line in io.lines(plan.cookieFile) do cookies[#cookies + 1] = line end
  wrk.method = plan.method
  for name, value in pairs(plan.headers) do wrk.headers[name] = value end
  if plan.bodyBytes > 0 then wrk.body = string.rep("x", plan.bodyBytes) end
  wrk.path = plan.paths[1]
  wrk.headers["Cookie"] = cookies[1]

  if #plan.paths > 1 or #cookies > 1 then
    -- Built once: what is sent costs the same for everybody, and little.
    local requests = {}
    for _, path in ipairs(plan.paths) do
      for _, cookie in ipairs(cookies) do
        wrk.headers["Cookie"] = cookie
        requests[#requests + 1] = wrk.format(plan.method, path, wrk.headers, wrk.body)
      end
    end
    local next = 0
    function request()
      next = next % #requests + 1
      return requests[next]
    end
  end

  if plan.delayMs > 0 then
    local mean = plan.delayMs
    -- Spread evenly around the mean, or all connections would ask at once.
    function delay() return math.random(0, 2 * mean) end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"bytes":%.0f,"p50":%.1f,"p99":%.1f,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
