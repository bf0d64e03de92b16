package metrics

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"

	"github.com/inhaul/inhaul/agent"
)

// ContentType is that of what Write writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// backlog is the oldest work of an app.
type backlog struct {
	app     string
	deploy  time.Duration
	reports map[agent.Way]lag
}

// lag is what a way has yet to tell of an app.
type lag struct {
	count  int
	oldest time.Duration
}

func (b *backlog) add(way agent.Way, count int, age time.Duration) {
	b.reports[way] = lag{b.reports[way].count + count, max(b.reports[way].oldest, age)}
}

// Write writes every metric. The ages of waiting work are those of a leading process, which alone can mend them.
func (s *Set) Write(to io.Writer) error {
	apps := s.backlogs()
	phases, leaked := s.previews()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := bufio.NewWriter(to)
	leader := 0.0
	if s.leading {
		leader = 1
	}
	gauge(w, "inhaul_leader", "1 in the process that leads.", leader)
	for _, f := range []*family{s.steps, s.verdicts, s.refusals, s.lead, s.restore, s.polls, s.requests, s.limits, s.limitWait} {
		f.write(w)
	}
	header(w, "inhaul_deploy_queue_age_seconds", "Age of the app's oldest release without a verdict; 0 where there is none.", "gauge")
	for _, b := range apps {
		line(w, "inhaul_deploy_queue_age_seconds", []string{"app"}, []string{b.app}, b.deploy.Seconds())
	}
	header(w, "inhaul_report_lag_seconds", "Time for which the oldest release of the app has not been shown by the way as it is; 0 where all are.", "gauge")
	s.eachWay(apps, func(app, way string, l lag) {
		line(w, "inhaul_report_lag_seconds", []string{"app", "way"}, []string{app, way}, l.oldest.Seconds())
	})
	header(w, "inhaul_reports_pending", "Releases and refusals of the app that the way does not show as they are.", "gauge")
	s.eachWay(apps, func(app, way string, l lag) {
		line(w, "inhaul_reports_pending", []string{"app", "way"}, []string{app, way}, float64(l.count))
	})
	header(w, "inhaul_previews", "Previews of pull requests, by phase.", "gauge")
	for _, phase := range slices.Sorted(maps.Keys(phases)) {
		line(w, "inhaul_previews", []string{"phase"}, []string{string(phase)}, float64(phases[phase]))
	}
	gauge(w, "inhaul_preview_leaked", "Namespaces of previews that should be gone and are not, for longer than that may take.", float64(leaked+s.orphans))
	process(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}

// backlogs are the backlogs of the apps, the first maxSeries by name.
func (s *Set) backlogs() []backlog {
	s.mu.Lock()
	leading := s.leading
	s.mu.Unlock()
	if !leading {
		return nil
	}
	now := s.config.Now()
	age := func(since time.Time) time.Duration {
		if since.IsZero() {
			return 0
		}
		return max(now.Sub(since), 0)
	}
	apps := s.config.Apps.Apps()
	all := make([]backlog, 0, min(len(apps), maxSeries))
	for _, app := range apps[:min(len(apps), maxSeries)] {
		b := backlog{app: app.Name, reports: map[agent.Way]lag{}}
		for _, environment := range app.Environments {
			waiting := s.waits(agent.Line{App: app.Name, Environment: environment.Name})
			b.deploy = max(b.deploy, age(waiting.Deploy))
			for way, waits := range waiting.Reports {
				b.add(way, waits.Count, age(waits.Since))
			}
		}
		for _, r := range app.Status.Refusals {
			for _, way := range s.config.Ways {
				if r.Unreported(way) {
					b.add(way, 1, age(r.At))
				}
			}
		}
		all = append(all, b)
	}
	return all
}

// previews are the records by phase, and how many of them take too long to end. Both are those of a leading process.
func (s *Set) previews() (phases map[agent.PreviewPhase]int, leaked int) {
	s.mu.Lock()
	leading := s.leading
	s.mu.Unlock()
	phases = map[agent.PreviewPhase]int{}
	if !leading || s.config.Previews == nil {
		return phases, 0
	}
	for _, phase := range []agent.PreviewPhase{agent.PreviewActive, agent.PreviewDestroying, agent.PreviewDestroyed} {
		phases[phase] = 0
	}
	now := s.config.Now()
	for _, p := range s.config.Previews.Previews() {
		if _, known := phases[p.Phase]; known {
			phases[p.Phase]++
		}
		if p.Leaks(now) {
			leaked++
		}
	}
	return phases, leaked
}

// eachWay calls see for every app and every way.
func (s *Set) eachWay(apps []backlog, see func(app, way string, l lag)) {
	for _, b := range apps {
		for _, way := range s.config.Ways {
			see(b.app, string(way), b.reports[way])
		}
	}
}

// waits is the backlog of a line. One that has none is not read again before it moves.
func (s *Set) waits(l agent.Line) agent.Backlog {
	s.mu.Lock()
	idle, moves := s.idle[l], s.moves
	s.mu.Unlock()
	if idle {
		return agent.Backlog{}
	}
	b := agent.Waiting(s.config.Releases.Releases(l), s.config.Ways)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Deploy.IsZero() && b.Reports == nil && moves == s.moves { // else it may have moved while it was read
		s.idle[l] = true
	}
	return b
}

// liveHeap and unusedHeap are the runtime's names for parts of the heap, in bytes: what
// objects have that are not freed yet, and what is free in the spans that they are in.
//
// https://pkg.go.dev/runtime/metrics#hdr-Supported_metrics
const (
	liveHeap   = "/memory/classes/heap/objects:bytes"
	unusedHeap = "/memory/classes/heap/unused:bytes"
)

// process writes what the kernel and the runtime know of this process without work:
// the runtime does not stop for it. The heap has the name that Prometheus' own client
// gives the same sum.
//
// https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html
func process(w *bufio.Writer) {
	gauge(w, "go_goroutines", "Goroutines of the process.", float64(runtime.NumGoroutine()))
	heap := []metrics.Sample{{Name: liveHeap}, {Name: unusedHeap}}
	metrics.Read(heap)
	inuse := 0.0
	for _, part := range heap {
		if part.Value.Kind() == metrics.KindUint64 { // KindBad: a runtime that knows it no more
			inuse += float64(part.Value.Uint64())
		}
	}
	gauge(w, "go_memstats_heap_inuse_bytes", "Heap in spans that are in use.", inuse)
	statm, err := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(statm); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			gauge(w, "process_resident_memory_bytes", "Resident memory of the process.", float64(pages*int64(os.Getpagesize())))
		}
	}
}
