package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/spec"
)

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*Request, *App, []Release)
		now    time.Time
		want   string
	}{
		{"another namespace", func(r *Request, _ *App, _ []Release) { r.Namespace = "storefront-staging" }, minutes(5), `no environment "production" in namespace storefront-staging`},
		{"no such environment", func(r *Request, _ *App, _ []Release) { r.Line.Environment = "qa" }, minutes(5), `no environment "qa"`},
		{"long ago", func(*Request, *App, []Release) {}, minutes(66), "asked for 1h1m0s ago"},
		{"no such release", func(r *Request, _ *App, _ []Release) { r.To = "9" }, minutes(5), "release 9 is not kept or never succeeded"},
		{"it failed", func(_ *Request, _ *App, all []Release) { all[0].Status.Phase = RolledBack }, minutes(5), "never succeeded"},
		{"no target", func(r *Request, _ *App, _ []Release) { r.To = "yesterday" }, minutes(5), `got "yesterday"`},
		{"a later event", func(_ *Request, _ *App, all []Release) { all[1].Source.EventAt = minutes(11) }, minutes(12), "release 2 is of something that happened after it was asked for"},
		{"a domain that is no longer allowed", func(_ *Request, _ *App, all []Release) {
			all[0].App.Services = []spec.Service{{Name: "web", Domains: []string{"shop.example.com"}}}
		}, minutes(5), "shop.example.com"},
		{"an image of a repository that is no longer allowed", func(_ *Request, app *App, _ []Release) { app.Images = []string{"registry.example/new"} }, minutes(5), "registry.example/new"},
		{"patterns of domains that are none", func(_ *Request, app *App, _ []Release) { app.Environments[0].Domains = []string{"?"} }, minutes(5), `pattern "?"`},
		{"what this agent cannot read", func(_ *Request, _ *App, all []Release) { all[0].App = spec.App{} }, minutes(5), "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, app, releases := requested("1"), testApp(t), released(t, push(1, 0, 1), push(2, 2, 3))
			test.change(&r, &app, releases)
			_, err := r.release(app, releases, test.now)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestRequestsThatGetNoRelease refuses what is no matter of the line alone, and
// says so in the request.
func TestRequestsThatGetNoRelease(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*world){
		"there is no App":              func(w *world) { w.app.Name = "other" },
		ErrUnvouched.Error():           func(w *world) { w.desk.forged = true },
		"the cluster cannot store":     func(w *world) { w.onMake = func(Release) error { return &Rejected{Message: "too large"} } },
		"release 1 is not kept or nev": func(w *world) { w.releases = nil },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.born = time.Now()
				w.releases = released(t, push(1, 0, 1), push(2, 2, 3))
				for i := range w.releases {
					w.releases[i].Status.Reported = []Reported{{Way: WayCheck, Phase: Succeeded}}
				}
				change(w)
				w.ask("back", "1")
				w.run()
				answers := w.answers()
				if answers[0].Phase != RequestRefused || !strings.Contains(answers[0].Message, want) || answers[0].Release != 0 || answers[0].At.IsZero() {
					t.Errorf("got %+v, want it refused: %s", answers[0], want)
				}
				if len(w.releases) > 2 {
					t.Errorf("got %d releases", len(w.releases))
				}
			})
		})
	}
}
