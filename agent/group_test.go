package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// member is the record of app's preview of pull request 7, in a namespace that was
// made for owner.
func member(app string, phase PreviewPhase, owner string, changes ...func(*Preview)) Preview {
	p := Preview{
		Line: Line{App: app, Environment: "pr-7"}, UID: app, Owner: owner, Phase: phase,
		Group: "store", RepositoryID: 1234, Namespace: "store-pr-7",
	}
	for _, change := range changes {
		change(&p)
	}
	return p
}

func TestTenureOfANamespace(t *testing.T) {
	t.Parallel()
	elsewhere := func(p *Preview) { p.Namespace = "elsewhere" }
	other := func(p *Preview) { p.RepositoryID = 99 }
	alone := func(p *Preview) { p.Group = "" }
	another := func(p *Preview) { p.Line.Environment = "pr-8" }
	for name, test := range map[string]struct {
		p       Preview
		records []Preview
		want    Tenure
	}{
		"its own":                              {member("web", PreviewActive, ""), nil, TenureOwn},
		"its own, whatever others say":         {member("web", PreviewActive, "web"), []Preview{member("api", PreviewDestroying, "web")}, TenureOwn},
		"one that it came into":                {member("api", PreviewActive, "web"), nil, TenureOwn},
		"of one that made it":                  {member("api", PreviewActive, ""), []Preview{member("web", PreviewActive, "")}, TenureJoin},
		"of one that came into it":             {member("api", PreviewActive, ""), []Preview{member("web", PreviewDestroyed, "web"), member("job", PreviewActive, "web")}, TenureJoin},
		"of one that goes, and one that stays": {member("api", PreviewActive, ""), []Preview{member("web", PreviewDestroying, "web"), member("job", PreviewActive, "web")}, TenureJoin},
		"of one that goes":                     {member("api", PreviewActive, ""), []Preview{member("web", PreviewDestroying, "web")}, TenureWait},
		"of one that is over":                  {member("api", PreviewActive, ""), []Preview{member("web", PreviewDestroyed, "web")}, TenureForeign},
		"of one that has another by now":       {member("api", PreviewActive, ""), []Preview{member("web", PreviewActive, "job")}, TenureForeign},
		"of nobody":                            {member("api", PreviewActive, ""), nil, TenureForeign},
		"of another group":                     {member("api", PreviewActive, "", func(p *Preview) { p.Group = "stall" }), []Preview{member("web", PreviewActive, "")}, TenureForeign},
		"of another repository":                {member("api", PreviewActive, "", other), []Preview{member("web", PreviewActive, "")}, TenureForeign},
		"of another pull request":              {member("api", PreviewActive, ""), []Preview{member("web", PreviewActive, "", another)}, TenureForeign},
		"of another name":                      {member("api", PreviewActive, ""), []Preview{member("web", PreviewActive, "", elsewhere)}, TenureForeign},
		"without a group":                      {member("api", PreviewActive, "", alone), []Preview{member("web", PreviewActive, "", alone)}, TenureForeign},
	} {
		if got := test.p.Tenure("web", test.records); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	if p := (Preview{}); p.Owns("") || p.Tenure("", []Preview{{}}) != TenureForeign {
		t.Error("a record without a UID owns what has no label")
	}
}

func TestNamespaceStaysForOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		records []Preview
		in      []string // have their mark on the namespace
		want    bool
	}{
		"nobody else":                   {[]Preview{member("web", PreviewDestroying, "web")}, []string{"web"}, false},
		"one that is in it":             {[]Preview{member("api", PreviewActive, "web")}, []string{"web", "api"}, true},
		"one whose mark is gone":        {[]Preview{member("api", PreviewActive, "web")}, nil, true},
		"one that goes, too":            {[]Preview{member("api", PreviewDestroying, "web")}, []string{"web", "api"}, true},
		"one that has gone":             {[]Preview{member("api", PreviewDestroying, "web")}, []string{"web"}, false},
		"one that is over":              {[]Preview{member("api", PreviewDestroyed, "web")}, []string{"web", "api"}, false},
		"one that has not come in yet":  {[]Preview{member("api", PreviewActive, "")}, []string{"web"}, false},
		"one of another group":          {[]Preview{member("api", PreviewActive, "web", func(p *Preview) { p.Group = "stall" })}, []string{"web", "api"}, false},
		"one that waits, one that goes": {[]Preview{member("api", PreviewActive, ""), member("job", PreviewDestroying, "web")}, []string{"web", "job"}, true},
	} {
		got := member("web", PreviewDestroying, "").Stays("web", test.records, func(app string) bool { return slices.Contains(test.in, app) })
		if got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}

func TestTemplatesOfGroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy    PreviewPolicy
		namespace string
		want      string
	}{
		"neither":                 {PreviewPolicy{}, "storefront-pr-7", ""},
		"a group":                 {PreviewPolicy{Group: "store"}, "store-pr-7", ""},
		"a group in a template":   {PreviewPolicy{Group: "store", Namespace: "p-{group}-{number}", Host: "pr-{number}.{group}.example.com"}, "p-store-7", ""},
		"a template of its own":   {PreviewPolicy{Group: "store", Namespace: "shop-{number}"}, "shop-7", ""},
		"an app in that":          {PreviewPolicy{Group: "store", Namespace: "{app}-{number}"}, "storefront-7", "{app}"},
		"a placeholder of nobody": {PreviewPolicy{Host: "{group}-{number}.example.com"}, "storefront-pr-7", "no group"},
	} {
		if got := test.policy.environment("storefront", 7).Namespace; got != test.namespace {
			t.Errorf("%s: got %q, want %q", name, got, test.namespace)
		}
		if err := test.policy.check(App{Name: "storefront"}); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestHousematesHaveOneNamespace(t *testing.T) {
	t.Parallel()
	app := func(name, group, namespace string, repository int64) App {
		return App{Name: name, PreviewPolicy: &PreviewPolicy{Group: group, Namespace: namespace}, Rules: []Rule{{RepositoryID: repository}}}
	}
	web, api := app("web", "store", "", 1), app("api", "store", "", 1)
	apps := []App{web, api, app("stray", "store", "x-{number}", 1), app("other", "stall", "", 1), app("foreign", "store", "", 2), {Name: "plain"}}
	names := func(apps []App) (names []string) {
		for _, a := range apps {
			names = append(names, a.Name)
		}
		return names
	}
	if got := names(web.Housemates(apps, 7)); !slices.Equal(got, []string{"web", "api"}) {
		t.Errorf("got %v, want web and api", got)
	}
	if got := names(apps[5].Housemates(apps, 7)); !slices.Equal(got, []string{"plain"}) {
		t.Errorf("got %v, want an app without a group alone", got)
	}
	if got := web.strayed([]App{web, api}); got != "" {
		t.Errorf("got %q, want nothing wrong", got)
	}
	if got := web.strayed(apps); !strings.Contains(got, "App stray") {
		t.Errorf("got %q, want to be told of stray", got)
	}
}

func TestRoofOfANamespace(t *testing.T) {
	t.Parallel()
	app := func(name string, open bool, allow []string, records ...Preview) App {
		return App{Name: name, Previews: records, Rules: []Rule{{RepositoryID: 1}}, PreviewPolicy: &PreviewPolicy{
			Group: "store", Quota: Quota{CPU: "4", Pods: 8}, Forks: &ForkPolicy{Quota: Quota{CPU: name, Pods: 1}}, EgressOpen: open, EgressAllow: allow,
		}}
	}
	fork := func(p *Preview) { p.Fork = true }
	web := app("web", false, []string{"10.2.0.0/16", "10.1.0.0/16"})
	plain, forked := member("web", PreviewActive, ""), member("web", PreviewActive, "", fork)
	for name, test := range map[string]struct {
		p    Preview
		mate App
		want string
	}{
		"each by its own":                       {plain, app("api", false, []string{"10.1.0.0/16"}, member("api", PreviewActive, "web", fork)), "{4  8} [{api  1}] false [10.1.0.0/16 10.2.0.0/16]"},
		"one of a fork, and one that is not":    {forked, app("api", false, nil, member("api", PreviewActive, "web")), "{web  1} [{4  8}] false [10.1.0.0/16 10.2.0.0/16]"},
		"none of the other, of a fork":          {forked, app("api", true, nil), "{web  1} [{api  1}] true [10.1.0.0/16 10.2.0.0/16]"},
		"one of the other that is over, a fork": {forked, app("api", false, nil, member("api", PreviewDestroyed, "web")), "{web  1} [{api  1}] false [10.1.0.0/16 10.2.0.0/16]"},
		"none of the other":                     {plain, app("api", false, []string{"10.0.0.0/16"}), "{4  8} [{4  8}] false [10.0.0.0/16 10.1.0.0/16 10.2.0.0/16]"},
	} {
		policy, others := web.Roof(test.p, []App{test.mate, web})
		if got := fmt.Sprint(policy.Quota, others, policy.EgressOpen, policy.EgressAllow); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	if got := web.PreviewPolicy.EgressAllow; got[0] != "10.2.0.0/16" || len(got) != 2 {
		t.Errorf("got %v: the App itself was changed", got)
	}
}

// TestEndsWithoutAnIntentMoveOut has a sweep and a newcomer end the preview of an app
// while another one is in its namespace.
func TestEndsWithoutAnIntentMoveOut(t *testing.T) {
	t.Parallel()
	for _, reason := range []EndReason{EndClosed, EndRoom} {
		synctest.Test(t, func(t *testing.T) {
			w := sweeps(t)
			w.app.PreviewPolicy.Namespace, w.app.PreviewPolicy.Group, w.app.PreviewPolicy.Max = "", "store", 1
			w.tell(t, pull(1, 0, 1))
			w.spaces["store-pr-7"].shared = true
			want := PreviewDestroyed
			if reason == EndRoom {
				want = PreviewWaiting
				newcomer := pull(2, 20, 21)
				newcomer.change = pullRequest(8)
				w.tell(t, newcomer)
			} else {
				w.shut()
			}
			w.wait(5 * time.Minute)
			p := w.pr7()
			if p.Phase != want || len(p.Destroys) != 1 || p.Destroys[0].Reason != reason {
				t.Errorf("%s: got phase %s and ends %+v, want %s", reason, p.Phase, p.Destroys, want)
			}
			if there := w.spaces["store-pr-7"]; there == nil || there.asked != 0 || len(w.Releases(p.Line)) != 0 {
				t.Errorf("%s: got namespace %+v and %d releases, want it left to the other one", reason, there, len(w.Releases(p.Line)))
			}
		})
	}
}

// TestPreviewMovesOut ends one app's preview while another app is in the namespace, and
// another time with the other one gone a moment before it.
func TestPreviewMovesOut(t *testing.T) {
	t.Parallel()
	for _, last := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := previewing(t)
			w.app.PreviewPolicy.Namespace, w.app.PreviewPolicy.Group = "", "store"
			w.others = []App{{Name: "api", PreviewPolicy: &PreviewPolicy{Group: "store"}}}
			w.hub.loud = true
			w.tell(t, pull(1, 0, 1))
			w.spaces["store-pr-7"].shared, w.spaces["store-pr-7"].emptied = true, last
			_, digest := envelope(t, closePull(2, 2, 3))
			w.tell(t, closePull(2, 2, 3))
			if there := w.spaces["store-pr-7"] != nil; there == last || w.pr7().Phase != PreviewDestroyed {
				t.Errorf("last %t: got the namespace there: %t, and phase %s", last, there, w.pr7().Phase)
			}
			if left := w.Releases(w.pr7().Line); len(left) != 0 {
				t.Errorf("last %t: got %d releases left", last, len(left))
			}
			if c := w.checks[digest]; c.Conclusion != Success || !strings.Contains(c.Summary, "which goes with the last app of group `store`") {
				t.Errorf("last %t: got %s %q", last, c.Conclusion, c.Summary)
			}
			comment := w.hub.comments["7<!-- inhaul: preview group store -->"]
			if !strings.Contains(comment.Body, "| `storefront` | pr-7 | 🗑️ Gone |") || !strings.Contains(comment.Body, "`inhaul releases api`") {
				t.Errorf("got comment %q, want one of the group", comment.Body)
			}
		})
	}
}

func TestCommentOfAGroupHasItsApps(t *testing.T) {
	t.Parallel()
	rows := []Standing{{App: "web", Environment: "pr-7", Phase: Succeeded}, {App: "api", Environment: "pr-7", Phase: Failed, Note: "it crashes"}}
	body := thread{group: "store", apps: []App{{Name: "web"}, {Name: "api"}}}.body(rows)
	for _, want := range []string{"<!-- inhaul: preview group store -->", "| `web` | pr-7 | ✅ Live |", "| `api` | pr-7 | ❌ Failed |", "**api / pr-7**: it crashes", "`inhaul releases web`, `inhaul releases api`"} {
		if !strings.Contains(body, want) {
			t.Errorf("got %q, want %q in it", body, want)
		}
	}
}
