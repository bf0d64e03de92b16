package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/intent"
)

// cluster is an app with one line.
type cluster struct {
	releases []agent.Release
	reads    int
}

func (*cluster) Apps() []agent.App {
	return []agent.App{{Name: "shop", Environments: []agent.Environment{{Name: "production"}}}}
}
func (*cluster) UpdateApp(context.Context, string, func(*agent.AppStatus)) error { return nil }
func (*cluster) Changed() <-chan agent.Line                                      { return nil }
func (c *cluster) Releases(agent.Line) []agent.Release                           { c.reads++; return c.releases }

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// release is one that went through phases in seconds after noon; the last step is its verdict if it has one.
func release(number int, phase agent.Phase, seconds ...int) agent.Release {
	r := agent.Release{Line: agent.Line{App: "shop", Environment: "production"}, Number: number, Reason: agent.ReasonNewest, Source: intent.Source{EventAt: noon().Add(-time.Minute)}}
	r.Status.Phase = phase
	steps := []agent.Step{agent.StepNoticed, agent.StepVerified, agent.StepAdmitted, agent.StepApplied, agent.StepReady, agent.StepVerdict}
	for i, s := range seconds {
		r.Status.Reach(steps[i], noon().Add(time.Duration(s)*time.Second))
	}
	return r
}

// written is what a Set writes, and a Set with a clock that stands at now.
func newSet(c *cluster, now time.Time) *Set {
	return New(Config{Apps: c, Releases: c, Ways: []agent.Way{agent.WayCheck}, Poll: 5 * time.Second, Now: func() time.Time { return now }})
}

func written(t *testing.T, s *Set) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains("\n"+text, "\n"+want+"\n") {
			t.Errorf("there is no line %s in\n%s", want, text)
		}
	}
}

func TestADeployIsCountedOnceHoweverOftenItIsWritten(t *testing.T) {
	t.Parallel()
	live := release(3, agent.Succeeded, 0, 0, 1, 2, 6, 7)
	failed := release(2, agent.RolledBack, -100, -100, -100, -100, -100, -90)
	failed.Status.Cause = &agent.Cause{Kind: agent.CauseCrash}
	c := &cluster{releases: []agent.Release{release(1, agent.Succeeded, -200), failed, live}}
	s := newSet(c, noon())
	admitted := release(3, agent.Pending, 0, 0, 1)
	rolling := release(3, agent.RollingOut, 0, 0, 1, 2)
	s.Moved(admitted, agent.Status{})
	s.Moved(rolling, admitted.Status)
	s.Moved(live, rolling.Status)
	said := live
	said.Status.Timeline = append(said.Status.Timeline[:6:6], agent.Moment{Step: agent.StepReported, At: noon().Add(8 * time.Second)})
	s.Moved(said, live.Status)
	s.Moved(said, said.Status) // an inventory that got shorter
	restoring := failed.Status
	restoring.Phase = agent.Restoring
	s.Moved(failed, restoring)
	wantLines(t, written(t, s),
		`inhaul_verdicts_total{app="shop",environment="production",phase="Succeeded",cause="",reason="Newest"} 1`,
		`inhaul_verdicts_total{app="shop",environment="production",phase="RolledBack",cause="Crash",reason="Newest"} 1`,
		`inhaul_step_seconds_count{step="admitted"} 1`, `inhaul_step_seconds_sum{step="admitted"} 1`,
		`inhaul_step_seconds_bucket{step="ready",le="2.5"} 0`, `inhaul_step_seconds_bucket{step="ready",le="5"} 1`, `inhaul_step_seconds_bucket{step="ready",le="+Inf"} 1`,
		`inhaul_step_seconds_count{step="reported"} 1`,
		`inhaul_lead_time_seconds_sum{app="shop",environment="production"} 67`, `inhaul_lead_time_seconds_count{app="shop",environment="production"} 1`,
		`inhaul_restore_seconds_sum{app="shop",environment="production"} 97`, `inhaul_restore_seconds_count{app="shop",environment="production"} 1`,
	)
}

func TestARollbackIsNoChange(t *testing.T) {
	t.Parallel()
	s := newSet(&cluster{}, noon())
	back := release(2, agent.Succeeded, 0, 0, 0, 0, 1, 1)
	back.Reason = agent.ReasonRollback
	s.Moved(back, agent.Status{Phase: agent.RollingOut})
	if text := written(t, s); strings.Contains(text, "inhaul_lead_time_seconds_count") || strings.Contains(text, "inhaul_restore_seconds_count") {
		t.Errorf("got a lead time or a restoration in\n%s", text)
	}
}

func TestTheAgesOfWaitingWorkAreTheLeaders(t *testing.T) {
	t.Parallel()
	unsaid := release(1, agent.Failed, 0, 0, 0, 0, 0, 10)
	c := &cluster{releases: []agent.Release{unsaid, release(2, agent.RollingOut, 20, 20, 30, 30)}}
	s := newSet(c, noon().Add(time.Minute))
	if text := written(t, s); strings.Contains(text, `app="shop"`) || !strings.Contains(text, "inhaul_leader 0\n") {
		t.Errorf("got ages without leading:\n%s", text)
	}
	done := s.Lead()
	wantLines(t, written(t, s), "inhaul_leader 1", `inhaul_deploy_queue_age_seconds{app="shop"} 30`, `inhaul_report_lag_seconds{app="shop",way="check"} 50`, `inhaul_reports_pending{app="shop",way="check"} 2`)

	for i := range c.releases {
		c.releases[i].Status.Phase, c.releases[i].Status.Reported = agent.Failed, []agent.Reported{{Way: agent.WayCheck, Phase: agent.Failed}}
	}
	wantLines(t, written(t, s), `inhaul_deploy_queue_age_seconds{app="shop"} 0`, `inhaul_report_lag_seconds{app="shop",way="check"} 0`, `inhaul_reports_pending{app="shop",way="check"} 0`)
	reads := c.reads
	_ = written(t, s)
	if c.reads != reads {
		t.Error("an idle line was read again")
	}
	s.Moved(release(3, agent.Pending, 50, 50, 55), agent.Status{})
	c.releases = append(c.releases, release(3, agent.Pending, 50, 50, 55))
	wantLines(t, written(t, s), `inhaul_deploy_queue_age_seconds{app="shop"} 5`)
	done()
	wantLines(t, written(t, s), "inhaul_leader 0")
}

// TestEachWayLagsByItself is about a check that is shown and a deployment that is not.
func TestEachWayLagsByItself(t *testing.T) {
	t.Parallel()
	r := release(1, agent.Succeeded, 0, 0, 0, 0, 0, 10)
	r.Status.Reported = []agent.Reported{{Way: agent.WayCheck, Phase: agent.Succeeded}}
	c := &cluster{releases: []agent.Release{r}}
	s := newSet(c, noon().Add(time.Minute))
	s.config.Ways = []agent.Way{agent.WayCheck, agent.WayDeployment}
	defer s.Lead()()
	wantLines(t, written(t, s),
		`inhaul_report_lag_seconds{app="shop",way="check"} 0`, `inhaul_report_lag_seconds{app="shop",way="deployment"} 50`,
		`inhaul_reports_pending{app="shop",way="check"} 0`, `inhaul_reports_pending{app="shop",way="deployment"} 1`)
}

func TestCountsOfTheWorldOutside(t *testing.T) {
	t.Parallel()
	s := newSet(&cluster{}, noon())
	s.Polled("shop", nil)
	s.Polled("shop", errors.New("503"))
	s.Refused(agent.Refusal{Line: agent.Line{App: "shop"}, Rule: "policy: ref"})
	s.Refused(agent.Refusal{Line: agent.Line{App: "shop"}, Rule: "policy: event"})
	for _, status := range []int{200, 201, 502, 0} {
		s.Answered(status)
	}
	s.Limited(90 * time.Second)
	wantLines(t, written(t, s),
		`inhaul_polls_total{app="shop",outcome="ok"} 1`, `inhaul_polls_total{app="shop",outcome="error"} 1`,
		`inhaul_refusals_total{app="shop",rule="policy"} 2`,
		`inhaul_github_requests_total{status="2xx"} 2`, `inhaul_github_requests_total{status="5xx"} 1`, `inhaul_github_requests_total{status="none"} 1`,
		"inhaul_github_rate_limits_total 1", "inhaul_github_rate_limit_seconds_total 90",
	)
}

func TestALoopThatIsSilentWhileItLeadsIsStalled(t *testing.T) {
	t.Parallel()
	now := noon()
	s := New(Config{Poll: 10 * time.Second, Now: func() time.Time { return now }})
	now = now.Add(time.Hour)
	if got := s.Stalled(); got != 0 {
		t.Errorf("a standby: got stalled for %v", got)
	}
	done := s.Lead()
	for _, step := range []struct {
		after time.Duration
		beat  bool
		want  time.Duration
	}{{90 * time.Second, true, 0}, {90 * time.Second, false, 0}, {time.Second, false, 91 * time.Second}, {0, true, 0}} {
		now = now.Add(step.after)
		if step.beat {
			s.Beat()
		}
		if got := s.Stalled(); got != step.want {
			t.Errorf("after %v: got stalled for %v, want %v", step.after, got, step.want)
		}
	}
	now = now.Add(time.Hour)
	if done(); s.Stalled() != 0 {
		t.Error("who led once is stalled")
	}
}

// TestEveryLineIsPrometheusText is about names of apps that break lines, and more of them than there may be series.
func TestEveryLineIsPrometheusText(t *testing.T) {
	t.Parallel()
	s := newSet(&cluster{}, noon())
	for i := range maxSeries + 50 {
		s.Polled(fmt.Sprintf("a\\\"\n\xff%d", i), nil)
	}
	s.Moved(release(1, agent.Succeeded, 0, 0, 0, 0, 0, 0), agent.Status{})
	defer s.Lead()()
	text := written(t, s)
	form := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\]|\\[\\"n])*",?)+\})? [0-9.e+-]+)$`)
	for line := range strings.Lines(text) {
		if !form.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("got the line %q", line)
		}
	}
	wantLines(t, text, `inhaul_polls_total{app="other",outcome="other"} 50`)
}

func TestTheProcessTellsItsOwnSize(t *testing.T) {
	t.Parallel()
	text := written(t, newSet(&cluster{}, noon()))
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	for name, most := range map[string]uint64{
		"go_goroutines": 1e4, "go_memstats_heap_inuse_bytes": stats.HeapSys, "process_resident_memory_bytes": 1 << 40,
	} {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
		if found == nil {
			t.Errorf("there is no %s in\n%s", name, text)
			continue
		}
		if n, err := strconv.ParseFloat(found[1], 64); err != nil || n < 1 || n > float64(most) {
			t.Errorf("%s: got %s, want a number from 1 to %d", name, found[1], most)
		}
	}
}

// recorded are the records of previews.
type recorded []agent.Preview

func (r recorded) Preview(agent.Line) (agent.Preview, bool) { return agent.Preview{}, false }
func (r recorded) Previews() []agent.Preview                { return r }

func TestPreviewsThatShouldBeGone(t *testing.T) {
	t.Parallel()
	now := noon()
	ending := func(since time.Duration) agent.Preview {
		return agent.Preview{Phase: agent.PreviewDestroying, Destroys: []agent.Destroy{{At: now.Add(-since)}}}
	}
	s := New(Config{
		Apps: &cluster{}, Releases: &cluster{}, Previews: recorded{{Phase: agent.PreviewActive}, ending(time.Minute), ending(3 * time.Minute), {Phase: agent.PreviewDestroyed}},
		Now: func() time.Time { return now },
	})
	wantLines(t, written(t, s), "inhaul_preview_leaked 0")
	defer s.Lead()()
	s.Swept(2)
	wantLines(t, written(t, s), "inhaul_preview_leaked 3", `inhaul_previews{phase="Active"} 1`, `inhaul_previews{phase="Destroying"} 2`, `inhaul_previews{phase="Destroyed"} 1`)
}
