package agent

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/face anew")

// face is a story as its golden file has it: header lines, then sections.
type face struct{ b strings.Builder }

func (f *face) head(key, format string, args ...any) {
	if value := fmt.Sprintf(format, args...); value != "" {
		fmt.Fprintf(&f.b, "%s: %s\n", key, strings.ReplaceAll(value, "\n", " "))
	}
}

func (f *face) section(name, text string) { fmt.Fprintf(&f.b, "\n===== %s\n%s\n", name, text) }

func faceOfCheck(c Check) string {
	var f face
	f.head("kind", "check")
	f.head("name", "%s", c.Name)
	f.head("repository", "%s", c.Repository)
	f.head("commit", "%s", c.Commit)
	f.head("status", "%s", c.Status)
	f.head("conclusion", "%s", c.Conclusion)
	f.head("title", "%s", c.Title)
	f.head("details", "%s", c.DetailsURL)
	f.head("started", "%s", timeOr(c.StartedAt))
	f.head("completed", "%s", timeOr(c.CompletedAt))
	for _, a := range c.Annotations {
		f.head("annotation", "%s:%d %s %s. %s", a.Path, a.Line, a.Level, a.Title, a.Message)
	}
	f.section("summary", c.Summary)
	f.section("text", c.Text)
	return f.b.String()
}

func faceOfDeployment(d Deployment) string {
	var f face
	f.head("kind", "deployment")
	f.head("environment", "%s", d.Environment)
	f.head("commit", "%s", d.Commit)
	f.head("state", "%s", d.State)
	f.head("description", "%s", d.Description)
	f.head("url", "%s", d.URL)
	f.head("log", "%s", d.LogURL)
	f.head("production", "%t", d.Production)
	f.head("transient", "%t", d.Transient)
	return f.b.String()
}

func faceOfStatus(s CommitStatus) string {
	var f face
	f.head("kind", "status")
	f.head("name", "%s", s.Context)
	f.head("commit", "%s", s.Commit)
	f.head("state", "%s", s.State)
	f.head("description", "%s", s.Description)
	f.head("url", "%s", s.URL)
	return f.b.String()
}

func faceOfComment(rows ...Standing) string {
	var f face
	f.head("kind", "comment")
	f.section("body", commentBody("storefront", rows))
	return f.b.String()
}

// checkStories are one check of every kind that people can see.
func checkStories(t *testing.T) map[string]Check {
	t.Helper()
	all := map[string]Check{}
	of := func(name string, phase Phase, changes ...func(*Release)) {
		r := told(phase, nil)
		for _, change := range changes {
			change(&r)
		}
		all[name] = r.check(seen(r, served()))
	}
	first := func(name string, phase Phase, changes ...func(*Release)) {
		r := told(phase, nil)
		for _, change := range changes {
			change(&r)
		}
		all[name] = r.check(seen(r))
	}
	services := func(mailer, web, worker int) func(*Release) {
		return func(r *Release) { r.Status.Services = running(mailer, web, worker) }
	}
	by := func(message string) func(*Release) {
		return func(r *Release) {
			r.Status.SupersededBy, r.Status.Message = commitNewer, message
			r.Status.Reach(StepVerdict, after(20*time.Second))
		}
	}
	of("queued", Pending)
	of("predeploying", Predeploying, predeploying)
	of("rolling-out", RollingOut, applied)
	of("rolling-out-partly-ready", RollingOut, applied, services(1, 1, 0))
	of("waits-for-a-node", RollingOut, applied, services(1, 0, 1), func(r *Release) {
		r.Status.Message = "web waits for a node that the autoscaler adds: Pod should schedule on: nodeclaim/default-tn8fg"
	})
	first("live-first-release", Succeeded, live)
	of("live", Succeeded, live)
	of("live-and-nothing-changed", Succeeded, live, func(r *Release) {
		before := served()
		r.App, r.Image, r.Source.Commit = before.App, before.Image, before.Source.Commit
	})
	of("live-after-a-predeploy", Succeeded, predeploying, func(r *Release) {
		r.Status.PredeployLog = "== 20261122 AddOrders: migrating\n== 20261122 AddOrders: migrated (0.0051s)\n"
		r.Status.Reach(StepPredeployed, after(42*time.Second))
		r.Status.Reach(StepApplied, after(42200*time.Millisecond))
		r.Status.Reach(StepReady, after(45*time.Second))
		r.Status.Reach(StepVerdict, after(45100*time.Millisecond))
		r.Status.Message, r.Status.Services = "Live in 45.1s", running(1, 2, 1)
	})
	first("live-preview", Succeeded, live, preview)
	of("rolled-back-to-a-number", Succeeded, back)
	of("rolled-back-by-an-older-run", Succeeded, back, func(r *Release) {
		r.Kind, r.Restore, r.Commit, r.Note = "deploy", 0, "", "run 1001 again, which was release 40"
	})
	of("rolled-back-in-the-cluster", Succeeded, byHand)
	of("superseded-before-it-was-live", Superseded, applied, by("Superseded by "+short(commitNewer)))
	of("superseded-after-it-was-live", Superseded, live, by("Was live for 2m0s, then superseded by "+short(commitNewer)))
	of("restoring", Restoring, red)
	first("failed-with-nothing-to-go-back-to", Failed, red)
	of("failed-without-automatic-rollback", Failed, red, func(r *Release) { r.App.KeepFailed = true })
	of("failed-and-a-newer-one-came", Failed, red, func(r *Release) { r.Status.SupersededBy = commitNewer })
	of("failed-and-could-not-go-back", Failed, red, func(r *Release) {
		r.Status.Cause.Message += "; putting release 41 back failed too: the server is shutting down"
	})
	of("failed-predeploy", RolledBack, redPredeploy, func(r *Release) { r.Status.RestoredTo = 41 })
	first("failed-predeploy-of-the-first-release", Failed, redPredeploy)
	for name, story := range map[string]string{
		"image-not-found": "image_not_found", "architecture": "architecture_exec_format_error", "command-not-found": "config_command_not_found",
		"secret-key-missing": "secret_key_missing", "crash": "crash_on_the_second_exit", "out-of-memory": "out_of_memory",
		"not-listening": "not_listening_on_another_port", "probe-answers-500": "probe_answers_500", "not-ready": "not_ready_and_nothing_known",
		"unschedulable": "unschedulable", "quota": "quota_exceeded", "admission": "admission_pod_security", "no-progress": "no_progress_no_pods",
	} {
		of("failed-"+name, RolledBack, failing(t, story))
	}
	for name, story := range map[string]string{"cancelled": "predeploy_cancelled", "too-long": "predeploy_too_long"} {
		of("failed-predeploy-"+name, RolledBack, predeploying, failing(t, story), func(r *Release) {
			r.Status.Timeline = slices.DeleteFunc(r.Status.Timeline, func(m Moment) bool { return m.Step == StepApplied })
			r.Status.Services = nil
		})
	}
	of("failed-secret-missing", RolledBack, refusedAs(&Rejected{
		Object: Object{Kind: "Secret", Name: "shop"}, Setting: "services.web.secrets.DATABASE_URL",
		Message: `web: DATABASE_URL: there is no Secret "shop" in namespace "storefront-production": kubectl -n storefront-production create secret generic shop --from-literal=DATABASE_URL=VALUE`,
	}))
	of("failed-rejected", RolledBack, refusedAs(&Rejected{
		Object: Object{Kind: "Ingress", Name: "storefront-web"}, Message: `spec.rules[0].host: Invalid value: "shop_.example": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters`,
	}))
	of("was-live-in-a-preview-that-is-gone", Superseded, live, preview, func(r *Release) {
		r.Removed, r.Status.Message = true, "Was live, until its preview was removed"
	})
	for name, change := range map[string]func(*end){
		"preview-being-removed": func(e *end) { e.destroy.DoneAt = time.Time{} },
		"preview-removed":       func(*end) {},
		"preview-not-going-away": func(e *end) {
			e.destroy.DoneAt, e.preview.Message = time.Time{}, "its namespace holds on to: Service web: finalizer service.kubernetes.io/load-balancer-cleanup"
		},
		"preview-that-never-was": func(e *end) { e.destroy.Nothing = true },
	} {
		e := ending()
		change(&e)
		all[name] = e.check(view{})
	}
	signature := denied()
	signature.Rule, signature.Message = "signature", `the intent is not signed by anyone whom the App trusts: got key ID "sha256:3d1f…", want one of 1 signers`
	freeze := denied()
	freeze.Rule, freeze.Message = "policy: image", `denied by policy: image repository is "docker.io/acme/storefront", want "ecr.example/storefront"`
	nobody := overtaken()
	nobody.SupersededBy = ""
	for name, r := range map[string]Refusal{"denied-policy": denied(), "denied-signature": signature, "denied-image": freeze, "refused-superseded": overtaken(), "refused-by-nobody-known": nobody} {
		all[name] = r.check(view{})
	}
	return all
}

// rowsOf are environments as the comment shows them.
func rowsOf(t *testing.T) map[string][]Standing {
	t.Helper()
	row := func(phase Phase, url string, changes ...func(*Release)) Standing {
		r := told(phase, nil)
		for _, change := range append(changes, preview) {
			change(&r)
		}
		v := seen(r)
		v.Environment.URL = url
		s := r.standing(v, "https://github.com/acme/storefront/runs/7001")
		s.ExpiresAt = after(72 * time.Hour)
		return s
	}
	gone := row(Superseded, "https://pr-12.storefront.example", live)
	gone.Destroyed, gone.Phase, gone.Note = true, Succeeded, "removed: the pull request was closed"
	going := gone
	going.Phase, going.Note = RollingOut, "the pull request was closed"
	staging := row(RollingOut, "https://staging.storefront.example", applied)
	staging.Environment, staging.ExpiresAt = "staging", time.Time{}
	lives := row(Succeeded, "https://pr-12.storefront.example", live)
	asleep := told(Succeeded, live)
	preview(&asleep)
	asleep.Asleep = true
	dreaming := seen(asleep)
	dreaming.Environment.URL = "https://pr-12.storefront.example"
	dreaming.Apps = []App{{Name: "storefront", PreviewPolicy: &PreviewPolicy{SleepAfter: 4 * time.Hour, WakeLabel: "wake-preview"}}}
	return map[string][]Standing{
		"one":           {lives},
		"two":           {lives, staging},
		"asleep":        {asleep.standing(dreaming, "https://github.com/acme/storefront/runs/7001")},
		"failed":        {row(Failed, "https://pr-12.storefront.example", failing(t, "not_listening_on_another_port"))},
		"rolled-back":   {row(RolledBack, "https://pr-12.storefront.example", failing(t, "crash_on_the_second_exit"))},
		"denied":        {denied().standing(view{}, "")},
		"being-removed": {going},
		"destroyed":     {gone},
	}
}

// faces are all stories by the names of their golden files.
func faces(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, check := range checkStories(t) {
		all["check-"+name] = faceOfCheck(check)
	}
	maps.Copy(all, roomFaces())
	for name, rows := range rowsOf(t) {
		all["comment-"+name] = faceOfComment(rows...)
	}
	for name, r := range map[string]Release{
		"queued": told(Pending, nil), "predeploying": told(Predeploying, predeploying), "rolling-out": told(RollingOut, applied), "live": told(Succeeded, live),
		"rolled-back": told(RolledBack, func(r *Release) { red(r); restored(r) }), "failed": told(Failed, red), "restoring": told(Restoring, red),
		"superseded": told(Superseded, func(r *Release) {
			r.Status.SupersededBy, r.Status.Message = commitNewer, "Superseded by "+short(commitNewer)
		}),
		"rollback": told(Succeeded, back),
	} {
		v := seen(r, served())
		all["deployment-"+name] = faceOfDeployment(r.deployment(v))
		all["status-"+name] = faceOfStatus(r.commitStatus(v))
	}
	old, lives := served(), told(Succeeded, live)
	live(&old)
	all["deployment-inactive"] = faceOfDeployment(old.deployment(seen(lives, old)))
	small := told(Succeeded, func(r *Release) { live(r); preview(r) })
	all["deployment-preview"] = faceOfDeployment(small.deployment(view{Environment: Environment{URL: "https://pr-12.storefront.example"}, Releases: []Release{small}}))
	all["status-denied"] = faceOfStatus(denied().commitStatus(view{}))
	all["status-refused"] = faceOfStatus(overtaken().commitStatus(view{}))
	return all
}

func TestFaceOfEveryState(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("testdata", "face")
	all := faces(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		file := filepath.Join(folder, name+".md")
		if *update {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(all[name]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), all[name]); diff != "" {
			t.Errorf("%s: -want +got (go test ./agent -run TestFace -update writes it anew):\n%s", name, diff)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, told := all[strings.TrimSuffix(entry.Name(), ".md")]; !told {
			t.Errorf("%s: no story has that name any more", entry.Name())
		}
	}
}

func TestCheckEndsExactlyWhenItIsCompleted(t *testing.T) {
	t.Parallel()
	for name, c := range checkStories(t) {
		if (c.Status == Completed) != (c.Conclusion != "") || (c.Status == Completed) == c.CompletedAt.IsZero() {
			t.Errorf("%s: got %s %q completed at %s, want a conclusion and a time exactly when completed", name, c.Status, c.Conclusion, c.CompletedAt)
		}
	}
}

func timeOr(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Format(time.RFC3339Nano)
}
