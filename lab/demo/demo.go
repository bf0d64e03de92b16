// Package demo shows the main job on a lab: a push becomes a running release, a
// broken one turns red while the old version serves, and a re-run of an old
// workflow brings the old version back. Everything but GitHub is the real
// thing; the node is simulated where there is no root.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/stage"
)

// Repository and app of the demo.
const (
	repository   = "acme/storefront"
	repositoryID = 424242
	namespace    = "storefront-production"

	lastWords = "cannot reach the database at db.internal:5432" // of v3
)

// Demo is one run of it.
type Demo struct {
	Stage *stage.Stage
	Chaos bool   // kill the agent at random moments
	Seed  uint64 // of Chaos
	Out   io.Writer

	checkout string
	probe    *probe
	acts     []act
	shown    string // what kubectl shows of the app
	problems []string
}

// act is one workflow run of the story and what came of it.
type act struct {
	name    string
	want    string // conclusion of the check
	result  stage.Result
	release stage.Release
	checks  []stage.CheckRun
	pushed  int // manifests that the registry got for the app's images; not known without a builder
	serving string
}

// Run plays the story and prints its table. An error says that it did not end
// as it has to.
func (d *Demo) Run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	stopChaos := func() int { return 0 }
	if d.Chaos {
		stopChaos = d.chaos(ctx)
	}
	err := d.play(ctx)
	kills := stopChaos()
	d.probe.stop()
	if err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	d.table()
	d.look(ctx)
	if d.Chaos {
		d.say("chaos: the agent was killed %d times (seed %d)", kills, d.Seed)
		if kills == 0 {
			d.problem("chaos killed nothing")
		}
	}
	if len(d.problems) > 0 {
		return errors.New("the demo did not end as it has to:\n  " + strings.Join(d.problems, "\n  "))
	}
	builds := ""
	if d.builds() {
		builds = " with 0 builds"
	}
	d.say("\nAll as it has to be: v1 and v2 went live, v3 turned red with its cause while v2 served, and the re-run of v1 brought v1 back%s.", builds)
	return nil
}

// builds reports whether the Action builds images here, so that the registry's
// counts say something.
func (d *Demo) builds() bool { return d.Stage.Lab.Programs.Buildx != "" }

// prepare installs the agent, allows the app, and makes the repository.
func (d *Demo) prepare(ctx context.Context) error {
	d.say("building the Action and the agent …")
	if err := d.Stage.Build(ctx); err != nil {
		return err
	}
	d.say("installing the agent (%s) …", map[bool]string{true: "a pod of the image that our Dockerfile builds", false: "a process beside the simulated cluster"}[d.Stage.InCluster()])
	if err := d.Stage.InstallAgent(ctx); err != nil {
		return err
	}
	if err := d.Stage.AllowApp(ctx, stage.App{Name: "storefront", Repository: repository, RepositoryID: repositoryID}); err != nil {
		return err
	}
	d.checkout = d.Stage.Lab.Path("stage", "storefront")
	if err := os.RemoveAll(d.checkout); err != nil {
		return err
	}
	if err := os.CopyFS(d.checkout, os.DirFS(filepath.Join(d.Stage.Source, "examples", "storefront"))); err != nil {
		return fmt.Errorf("copying the example: %w", err)
	}
	d.probe = newProbe(d.Stage)
	return nil
}

// play is the story.
func (d *Demo) play(ctx context.Context) error {
	v1, err := d.push(ctx, "push v1", "success", nil)
	if err != nil {
		return err
	}
	d.expectServing(ctx, len(d.acts)-1, "v1", v1)
	if d.Stage.Lab.Mode == layout.Real {
		if err := d.probe.start(ctx); err != nil {
			return err
		}
	}
	v2, err := d.push(ctx, "push v2", "success", map[string]string{"version.js": "module.exports = \"v2\";\n"})
	if err != nil {
		return err
	}
	d.expectServing(ctx, len(d.acts)-1, "v2", v2)
	d.expectWhole(ctx)
	if _, err := d.push(ctx, "push v3 (broken)", "failure", map[string]string{
		"version.js":  "module.exports = \"v3\";\n",
		"broken.js":   "throw new Error(\"" + lastWords + "\");\n",
		"inhaul.yaml": "",
	}); err != nil {
		return err
	}
	d.expectServing(ctx, len(d.acts)-1, "v2", v2)
	if err := d.rerun(ctx, "re-run of v1", v1); err != nil {
		return err
	}
	d.expectServing(ctx, len(d.acts)-1, "v1", v1)
	return nil
}

// push commits changes and runs the workflow.
func (d *Demo) push(ctx context.Context, name, want string, changes map[string]string) (stage.Result, error) {
	for file, content := range changes {
		path := filepath.Join(d.checkout, file)
		if file == "inhaul.yaml" { // the mistake that v3 makes
			old, err := os.ReadFile(path)
			if err != nil {
				return stage.Result{}, err
			}
			content = strings.Replace(string(old), "run: node web.js", "run: node broken.js", 1)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return stage.Result{}, err
		}
	}
	if _, err := stage.Commit(ctx, d.checkout, name); err != nil {
		return stage.Result{}, err
	}
	return d.run(ctx, name, want, 0)
}

// rerun runs an old workflow run again, at its commit.
func (d *Demo) rerun(ctx context.Context, name string, old stage.Result) error {
	if err := stage.Checkout(ctx, d.checkout, old.Commit); err != nil {
		return err
	}
	_, err := d.run(ctx, name, "success", old.RunID)
	return err
}

func (d *Demo) run(ctx context.Context, name, want string, runID int64) (stage.Result, error) {
	d.say("\n── %s ──", name)
	workflow := stage.Workflow{Repository: repository, RepositoryID: repositoryID, Dir: d.checkout, RunID: runID}
	if err := d.Stage.ImageWithoutBuilder(ctx, &workflow); err != nil {
		return stage.Result{}, err
	}
	before, err := d.Stage.Pushed(ctx, repository)
	if err != nil {
		return stage.Result{}, err
	}
	result, err := d.Stage.Run(ctx, workflow)
	if err != nil {
		return result, err
	}
	after, err := d.Stage.Pushed(ctx, repository)
	if err != nil {
		return stage.Result{}, err
	}
	a := act{name: name, want: want, result: result, pushed: after - before}
	if green := result.ExitCode == 0; green != (want == "success") {
		d.problem("%s: the Action ended with exit code %d, want it %s", name, result.ExitCode, map[bool]string{true: "green", false: "red"}[want == "success"])
	}
	if again := runID != 0; d.builds() && again != (a.pushed == 0) {
		d.problem("%s: the registry got %d manifests for %s, want none for a re-run and some for a push", name, a.pushed, repository)
	}
	d.acts = append(d.acts, a)
	return result, nil
}

// expectServing checks which image the cluster serves, and on real pods also
// what the app answers.
func (d *Demo) expectServing(ctx context.Context, index int, version string, of stage.Result) {
	name := d.acts[index].name
	image, err := d.Stage.Kubectl(ctx, "", "-n", namespace, "get", "deployment", "storefront-web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	if err != nil {
		d.problem("%s: %v", name, err)
		return
	}
	if want := of.Outputs["image"]; image != want {
		// The last good objects come back a moment after the verdict.
		for range 50 {
			time.Sleep(200 * time.Millisecond)
			if image, _ = d.Stage.Kubectl(ctx, "", "-n", namespace, "get", "deployment", "storefront-web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); image == want {
				break
			}
		}
		if image != want {
			d.problem("%s: the cluster runs %s, want %s of %s", name, image, want, version)
		}
	}
	d.acts[index].serving = version + " (by its image)"
	if d.Stage.Lab.Mode != layout.Real {
		return
	}
	// For about a second after the endpoints changed, the node's own rules
	// still send connections to pods that are on their way out.
	answer := d.probe.now(ctx)
	for range 25 {
		if strings.Contains(answer, "("+version+")") {
			break
		}
		time.Sleep(200 * time.Millisecond)
		answer = d.probe.now(ctx)
	}
	d.acts[index].serving = answer
	if !strings.Contains(answer, "("+version+")") {
		d.problem("%s: the app answers %q, want %s", name, answer, version)
	}
}

// settle waits until every release is reported and every check terminal, and
// compares them with what the story wants.
func (d *Demo) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for i := range d.acts {
		a := &d.acts[i]
		var err error
		a.release, err = d.Stage.ReleaseOf(ctx, a.result.Outputs["intent"], func(r stage.Release) bool { return !r.At("reported").IsZero() })
		if err != nil {
			return err
		}
		all, err := d.Stage.CheckRuns(ctx, repository, a.result.Commit)
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.ExternalID == a.result.Outputs["intent"] {
				a.checks = append(a.checks, c)
			}
		}
		if len(a.checks) != 1 {
			d.problem("%s: got %d check runs, want 1", a.name, len(a.checks))
			continue
		}
		d.problems = append(d.problems, a.faults(d.Stage.Lab.Mode)...)
	}
	violations, err := d.Stage.Violations(ctx)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(violations)); text != "[]" && text != "null" {
		d.problem("calls broke GitHub's API description: %s", text)
	}
	if d.Stage.Lab.Mode == layout.Real {
		d.problems = append(d.problems, d.probe.faults()...)
	}
	return nil
}

// faults are what is wrong with the act's one check: its end, and for a failure
// that it does not say why.
func (a *act) faults(mode layout.Mode) []string {
	c := a.checks[0]
	if c.Status != "completed" || c.Conclusion != a.want {
		return []string{fmt.Sprintf("%s: the check is %s %s (%s), want completed %s", a.name, c.Status, c.Conclusion, c.Output.Title, a.want)}
	}
	if a.want != "failure" {
		return nil
	}
	var found []string
	why := []struct{ place, text, want string }{
		{"title", c.Output.Title, "web: exit code 1"},
		{"summary", c.Output.Summary, "exit code 1"},
		{"summary", c.Output.Summary, "**Next:** "},
	}
	if mode == layout.Real { // simulated containers say nothing
		why = append(why, struct{ place, text, want string }{"text", c.Output.Text, lastWords})
	}
	for _, w := range why {
		if !strings.Contains(w.text, w.want) {
			found = append(found, fmt.Sprintf("%s: the check does not say why: %q is not in its %s: %s", a.name, w.want, w.place, w.text))
		}
	}
	return found
}

func (d *Demo) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }

func (d *Demo) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}
