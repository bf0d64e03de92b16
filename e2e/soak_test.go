package e2e

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/internal/metrics"
)

const (
	soakApps    = 2 // one environment of each
	soakHistory = 50
	// soakPace is between two releases of a line: GitHub wants a second between two
	// writes, and a release's check is written two or three times.
	soakPace    = 5 * time.Second
	sampleEvery = 10 * time.Second
	// soakFill is how long the agent still has more to remember with every release:
	// until the history is full, and releases are old enough to be forgotten.
	soakFill = 7 * time.Minute
	// What grows by less is no leak: Go gives memory back when it likes, and a release
	// that is under way has goroutines of its own.
	soakSlack      = 6 << 20 // bytes
	soakGoroutines = 30
)

// sample is the agent's size at a moment.
type sample struct {
	at         time.Duration // since the beginning
	rss, heap  float64       // bytes
	goroutines float64
}

// quantity is something of a sample that must not grow for good.
type quantity struct {
	name  string
	of    func(sample) float64
	unit  float64 // in which it is told
	slack float64 // growth that is none
}

func quantities() []quantity {
	const mib = 1 << 20
	return []quantity{
		{"MiB RSS", func(s sample) float64 { return s.rss }, mib, soakSlack},
		{"MiB heap", func(s sample) float64 { return s.heap }, mib, soakSlack},
		{"goroutines", func(s sample) float64 { return s.goroutines }, 1, soakGoroutines},
	}
}

// TestSoak releases without a pause, until the history is full and releases are
// trimmed as fast as they come, and fails if the agent's memory, its heap or the
// number of its goroutines clearly grows from then on.
func TestSoak(t *testing.T) {
	minutes := size("INHAUL_SOAK")
	if minutes == 0 {
		t.Skip("INHAUL_SOAK is not set; `make soak` does that")
	}
	tm := newTeam(t, "soak", soakApps, soakHistory)
	l := openLedger(t, tm)
	tm.lines = slices.DeleteFunc(tm.lines, func(l *line) bool { return l.environment != "production" })
	began, last := time.Now(), time.Duration(minutes)*time.Minute
	var samples []sample
	number := 0
	for tick := time.NewTicker(soakPace / soakApps); time.Since(began) < last; number++ {
		line := tm.lines[number%len(tm.lines)]
		what := content{broken: number%10 == 7, predeploy: number%4 == 1, side: number%3 == 0}
		if _, err := tm.deploy(t.Context(), line, what); err != nil {
			t.Fatal(err)
		}
		if now := time.Since(began); now > time.Duration(len(samples))*sampleEvery {
			s, err := tm.memory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.at = now
			samples = append(samples, s)
		}
		<-tick.C
	}
	if problems := l.settle(t.Context(), expectation{newest: map[*line]*push{}}, settleTime); len(problems) > 0 {
		t.Errorf("at the end:\n%s", strings.Join(problems[:min(len(problems), 20)], "\n"))
	}
	kept := 0
	for _, line := range tm.lines {
		for _, r := range l.of(line) {
			if !r.gone {
				kept++
			}
		}
	}
	t.Logf("%d releases in %s, %d kept; %s", number, time.Since(began).Round(time.Second), kept, l.phases())
	full := slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.at < min(soakFill, last/3) })
	for _, q := range quantities() {
		t.Logf("from the start: %s", trendOf(samples, q))
		tr := trendOf(full, q)
		t.Logf("with a full history: %s", tr)
		if tr.grows() {
			t.Errorf("the agent grows: %s", tr)
		}
	}
}

// trend compares the first third of samples with the last.
type trend struct {
	quantity
	first, last float64 // medians
	noise       float64 // median distance from the median of the own third
	slope       float64 // of the straight line through all, an hour
	n           int
}

func trendOf(samples []sample, q quantity) trend {
	var all []float64
	for _, s := range samples {
		all = append(all, q.of(s))
	}
	third := max(len(all)/3, 1)
	first, last := all[:third], all[len(all)-third:]
	tr := trend{quantity: q, first: median(first), last: median(last), n: len(all)}
	var distances []float64
	for _, v := range first {
		distances = append(distances, math.Abs(v-tr.first))
	}
	for _, v := range last {
		distances = append(distances, math.Abs(v-tr.last))
	}
	tr.noise = median(distances)
	var x, y, xx, xy float64
	for i, v := range all {
		hours := samples[i].at.Hours()
		x, y, xx, xy = x+hours, y+v, xx+hours*hours, xy+hours*v
	}
	n := float64(len(all))
	tr.slope = (n*xy - x*y) / (n*xx - x*x)
	return tr
}

// grows reports whether the last third is above the first by more than noise and
// a garbage collector explain.
func (tr trend) grows() bool {
	return tr.last-tr.first > max(tr.slack, tr.first/5, 5*tr.noise)
}

func (tr trend) String() string {
	return fmt.Sprintf("%.1f %s in the first third, %.1f in the last (noise %.1f, %+.1f an hour, %d samples)",
		tr.first/tr.unit, tr.name, tr.last/tr.unit, tr.noise/tr.unit, tr.slope/tr.unit, tr.n)
}

// memory looks at the one agent. It is an error if the agent does not tell all of
// its size: what is not looked at may grow.
func (tm *team) memory(ctx context.Context) (sample, error) {
	status, err := tm.run(ctx, "agent", "status")
	if err != nil {
		return sample{}, err
	}
	fields := strings.Fields(status)
	if len(fields) < 3 {
		return sample{}, fmt.Errorf("got %q, want one agent", status)
	}
	proc, err := os.ReadFile(filepath.Join("/proc", fields[1], "status"))
	if err != nil {
		return sample{}, err
	}
	text, err := metricsOf(ctx, fields[2])
	if err != nil {
		return sample{}, fmt.Errorf("reading the agent's metrics: %w", err)
	}
	return sized(string(proc), text)
}

// sized is the sample in what the kernel and the agent say.
func sized(proc, told string) (sample, error) {
	s := sample{
		rss:        value(proc, "VmRSS:") * 1024,
		heap:       value(told, "go_memstats_heap_inuse_bytes "),
		goroutines: value(told, "go_goroutines "),
	}
	for _, q := range quantities() {
		if math.IsNaN(q.of(s)) {
			return sample{}, fmt.Errorf("the agent does not tell its %s", q.name)
		}
	}
	return s, nil
}

func metricsOf(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Timeout: adminTimeout}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("got %s, want 200", response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return string(text), err
}

// value is the number behind a name at the beginning of a line, NaN without one.
func value(text, name string) float64 {
	for row := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(row, name); found {
			if fields := strings.Fields(rest); len(fields) > 0 {
				if n, err := strconv.ParseFloat(fields[0], 64); err == nil {
					return n
				}
			}
		}
	}
	return math.NaN()
}

func TestATrendTellsALeakFromNoise(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, row := range map[string]struct {
		at   func(i int) float64
		want bool
	}{
		"level":                        {func(int) float64 { return 40 * mib }, false},
		"a garbage collector's teeth":  {func(i int) float64 { return float64(40+i%7) * mib }, false},
		"a step up within the slack":   {func(i int) float64 { return 40*mib + float64(i/45)*5*mib }, false},
		"a leak of 1 MiB a minute":     {func(i int) float64 { return 40*mib + float64(i)*mib/6 }, true},
		"a leak under the teeth of it": {func(i int) float64 { return float64(40+i%3)*mib + float64(i)*mib/5 }, true},
	} {
		for _, q := range quantities() {
			var samples []sample
			for i := range 90 {
				v := row.at(i)
				samples = append(samples, sample{at: time.Duration(i) * sampleEvery, rss: v, heap: v, goroutines: v / mib * 5}) // 200 of them
			}
			if tr := trendOf(samples, q); tr.grows() != row.want {
				t.Errorf("%s: got grows %t, want %t: %s", name, tr.grows(), row.want, tr)
			}
		}
	}
}

func TestAnAgentThatDoesNotTellItsSizeIsNotMeasured(t *testing.T) {
	t.Parallel()
	const proc = "VmHWM:\t 9 kB\nVmRSS:\t 40 kB\n"
	var text strings.Builder
	if err := metrics.New(metrics.Config{}).Write(&text); err != nil {
		t.Fatal(err)
	}
	if s, err := sized(proc, text.String()); err != nil || s.rss != 40*1024 || s.heap < 1 || s.goroutines < 1 {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, missing := range []string{"go_memstats_heap_inuse_bytes", "go_goroutines"} {
		if _, err := sized(proc, strings.ReplaceAll(text.String(), missing, "x")); err == nil {
			t.Errorf("got a sample of an agent without %s", missing)
		}
	}
}
