package github

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// GitHub's primary limits per hour.
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
const (
	installationLimit = 5000
	workflowLimit     = 1000
	limitWindow       = time.Hour
	contentWindow     = time.Minute
)

// limits counts requests per token, and content-creating ones altogether.
type limits struct {
	meters map[string]*meter
	// contentPerMinute is GitHub's secondary limit of about 80; 0, the default, switches it off.
	contentPerMinute int
	content          []time.Time
}

type meter struct {
	limit, used int
	reset       time.Time
}

func newLimits() limits { return limits{meters: map[string]*meter{}} }

func (l *limits) meter(t *token, now time.Time) *meter {
	m := l.meters[t.Value]
	if m == nil || now.After(m.reset) {
		m = &meter{limit: installationLimit, reset: now.Add(limitWindow)}
		if t.Installation == 0 {
			m.limit = workflowLimit
		}
		l.meters[t.Value] = m
	}
	return m
}

// limited refuses what is over a limit. It needs Server.mu.
func (s *Server) limited(r *http.Request, caller *token) (bool, reply) {
	now := s.now()
	if m := s.limits.meter(caller, now); m.used >= m.limit && r.URL.Path != "/rate_limit" {
		return true, fail(http.StatusForbidden, "API rate limit exceeded for installation.")
	}
	if r.Method == http.MethodGet || s.limits.contentPerMinute == 0 {
		return false, reply{}
	}
	for len(s.limits.content) > 0 && now.Sub(s.limits.content[0]) >= contentWindow {
		s.limits.content = s.limits.content[1:]
	}
	if len(s.limits.content) >= s.limits.contentPerMinute {
		rep := fail(http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		wait := contentWindow - now.Sub(s.limits.content[0])
		rep.header = http.Header{"Retry-After": {seconds(wait)}}
		return true, rep
	}
	s.limits.content = append(s.limits.content, now)
	return false, reply{}
}

// count notes a request of a known token and says in the header what remains. A 304 is free.
func (s *Server) count(r *http.Request, status int, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	caller := s.state.Tokens[bearerOf(r)]
	if caller == nil {
		return
	}
	m := s.limits.meter(caller, s.now())
	if status != http.StatusNotModified && r.URL.Path != "/rate_limit" {
		m.used++
	}
	header.Set("X-Ratelimit-Limit", strconv.Itoa(m.limit))
	header.Set("X-Ratelimit-Used", strconv.Itoa(m.used))
	header.Set("X-Ratelimit-Remaining", strconv.Itoa(max(m.limit-m.used, 0)))
	header.Set("X-Ratelimit-Reset", strconv.FormatInt(m.reset.Unix(), 10))
	header.Set("X-Ratelimit-Resource", "core")
}

// setLimits switches enforcement: {"contentPerMinute": 80}, 0 for off.
func (s *Server) setLimits(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		ContentPerMinute int `json:"contentPerMinute"`
	}
	if err := readJSON(r, &asked); err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	s.limits.contentPerMinute, s.limits.content = asked.ContentPerMinute, nil
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// seconds rounds up, as Retry-After counts whole ones.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
