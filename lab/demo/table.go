package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/inhaul/inhaul/lab/layout"
)

// table prints what came of each act, and how long each step took.
func (d *Demo) table() {
	d.say("\n══ what happened ══")
	w := tabwriter.NewWriter(d.Out, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "run\trelease\tphase\tcheck\ttitle\tbuilds\tserving after it")
	for _, a := range d.acts {
		check, title := "none", ""
		if len(a.checks) == 1 {
			check, title = a.checks[0].Conclusion, a.checks[0].Output.Title
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", a.name, a.release.Spec.Number, a.release.Status.Phase, check, title, d.built(a), a.serving)
	}
	w.Flush()

	d.say("\n══ how long each step took ══")
	fmt.Fprintln(w, "run\tbuild and push\tsign\tpublish\tnotice\tverify\tapply\tReady\tverdict\treported\tAction in all")
	for _, a := range d.acts {
		steps := summarySteps(a.result.Summary)
		r := a.release
		between := func(from, to string) string {
			if r.At(from).IsZero() || r.At(to).IsZero() {
				return "-"
			}
			return r.At(to).Sub(r.At(from)).Round(time.Millisecond).String()
		}
		notice := "-"
		if published := publishedAt(a.result.Log); !published.IsZero() && !r.At("noticed").IsZero() {
			notice = r.At("noticed").Sub(published).Round(time.Millisecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.name, orDash(steps["build and push"]), orDash(steps["sign"]), orDash(steps["publish"]), notice,
			between("noticed", "verified"), between("admitted", "applied"), between("applied", "ready"), between("ready", "verdict"), between("verdict", "reported"),
			a.result.Ended.Sub(a.result.Began).Round(10*time.Millisecond))
	}
	w.Flush()
	if d.probe.sent > 0 {
		d.say("\nThe app was asked %d times over its Service while all this happened: %d errors; it answered in turn %s.",
			d.probe.sent, d.probe.failed, strings.Join(d.probe.answers, ", "))
	}
}

// built is how many images an act built, by what the registry got: a build
// pushes an image and its cache.
func (d *Demo) built(a act) string {
	switch {
	case !d.builds():
		return "-"
	case a.pushed == 0:
		return "0"
	}
	return "1"
}

// look says how to see it for oneself.
func (d *Demo) look(ctx context.Context) {
	d.say("\n$ kubectl -n %s get deployments,hpa,cronjobs,jobs   (while v2 was live)\n%s", namespace, strings.TrimSpace(d.shown))
	get, err := d.Stage.Kubectl(ctx, "", "get", "apps.inhaul.dev,releases.inhaul.dev", "-A")
	if err == nil {
		d.say("\n$ kubectl get apps,releases -A\n%s", strings.TrimSpace(get))
	}
	d.say("\nThe commits with their checks, as a person sees them: http://%s/ (while the lab is up: make demo KEEP=1)", d.Stage.Lab.GitHub())
	if d.Stage.Lab.Mode != layout.Real {
		d.say("The pods were simulated: the control plane was real, no container ran. As root with containerd the demo runs real ones.")
	}
}

// summarySteps reads the durations in the Action's job summary.
func summarySteps(summary string) map[string]string {
	steps := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| Time to ([a-z ]+) \| ([^|]+) \|`).FindAllStringSubmatch(summary, -1) {
		steps[m[1]] = strings.TrimSpace(m[2])
	}
	return steps
}

// publishedAt reads the time in the tag under which the intent was published,
// which is when it was signed: publishing is a part of the notice.
func publishedAt(log string) time.Time {
	m := regexp.MustCompile(`published as \S+\.(\d{8}T\d{6}\.?\d{3}Z?)\.`).FindStringSubmatch(log)
	if m == nil {
		return time.Time{}
	}
	for _, form := range []string{"20060102T150405.000Z", "20060102T150405.000"} {
		if t, err := time.Parse(form, m[1]); err == nil {
			return t
		}
	}
	return time.Time{}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// chaos kills the agent at random moments until the result is called, which
// returns how often it did.
func (d *Demo) chaos(ctx context.Context) func() int {
	ctx, cancel := context.WithCancel(ctx)
	random := rand.New(rand.NewPCG(d.Seed, 0)) // because a run has to be repeatable
	kills := 0
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(2000+random.IntN(8000)) * time.Millisecond):
			}
			if err := d.Stage.KillAgent(ctx); err != nil {
				continue // it is starting again just now
			}
			kills++
			d.say("   ⚡ agent killed (kill -9)")
		}
	})
	return func() int {
		cancel()
		done.Wait()
		return kills
	}
}
