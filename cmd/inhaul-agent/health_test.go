package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/internal/metrics"
)

func TestHealthIsHonest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	counted := metrics.New(metrics.Config{Poll: 5 * time.Second, Now: func() time.Time { return now }})
	h := &health{metrics: counted}
	ask := func(path string) (int, string) {
		recorder := httptest.NewRecorder()
		h.mux().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return recorder.Code, recorder.Body.String()
	}
	want := func(when string, healthz, readyz int) {
		t.Helper()
		if got, said := ask("/healthz"); got != healthz {
			t.Errorf("%s: /healthz is %d %q, want %d", when, got, said, healthz)
		}
		for _, path := range []string{"/readyz", "/metrics"} {
			if got, said := ask(path); got != readyz {
				t.Errorf("%s: %s is %d %q, want %d", when, path, got, said, readyz)
			}
		}
	}
	want("while its caches fill", 200, 503)
	h.ready.Store(true)
	now = now.Add(time.Hour)
	want("as a standby", 200, 200)
	if _, text := ask("/metrics"); !strings.Contains(text, "\ninhaul_leader 0\n") {
		t.Errorf("got %q, want the gauge of leading", text)
	}
}

func TestALeaderWhoseLoopIsSilentIsNotHealthy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h := &health{metrics: metrics.New(metrics.Config{Poll: 5 * time.Second, Now: func() time.Time { return now }})}
	defer h.metrics.Lead()()
	for _, silent := range []time.Duration{time.Minute, 10 * time.Minute} {
		h.metrics.Beat()
		now = now.Add(silent)
		recorder := httptest.NewRecorder()
		h.mux().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
		if ok := recorder.Code == http.StatusOK; ok != (silent == time.Minute) {
			t.Errorf("silent for %v: got %d %q", silent, recorder.Code, recorder.Body)
		}
	}
}
