package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// environment maps the variables of an app.json.
func (h *heroku) environment(n *node, env, secrets *level) {
	for _, v := range n.entries() {
		h.variable(v, env, secrets)
	}
}

func (h *heroku) variable(v *node, env, secrets *level) {
	switch {
	case v.name == "PROCFILE_PATH" && !v.untouched(): // findProcfile has read it
		return
	case v.name == "PORT":
		v.leave("Inhaul sets PORT to the port of the web service: say port: there")
		return
	case v.name == "BUILDPACK_URL":
		v.leave("chooses a classic buildpack; say build.buildpacks, or let the builder find them")
		return
	case !isVariable(v.name):
		v.leave("is no name of an environment variable: want letters, digits and _, no digit first")
		return
	case v.kind != mapping:
		if text, ok := v.string(); ok {
			env.set(v.name, text, v.place).above = suspicious(v.name, text)
		}
		return
	}
	value, generator := v.at("value"), v.at("generator")
	required, said := v.at("required").flag()
	about := h.prose(v.at("description"))
	if text, ok := value.string(); ok {
		env.set(v.name, text, v.place).above = lines(about, suspicious(v.name, text))
		generator.leave("has no effect, because there is a value")
		return
	}
	made, named := generator.string()
	if made == "secret" {
		// As on Heroku: made once, kept for ever.
		secrets.set(v.name, "generate://32", v.place).above = about
		return
	}
	if named {
		generator.leave("is no generator that Inhaul knows")
	}
	if said && !required {
		v.leave("has no value and is not required: when the app needs it, put it into env, or a reference into secrets")
		return
	}
	h.secret(secrets, v.name, v.place).above = about
	v.note("has no value there: %s; or give it a value in env if it is no secret", h.makeSecret(v.name))
}

// prose takes a description as a comment, unless it holds a secret.
func (h *heroku) prose(n *node) string {
	text, _ := n.string()
	if what, found := h.credential(text); found {
		n.leave("is not repeated, because it holds what looks like %s", what)
		return ""
	}
	return text
}

// suspicious returns a comment on a variable that should be a secret by its
// name.
func suspicious(name, value string) string {
	if value == "" || !secretName.MatchString(name) {
		return ""
	}
	return "By its name a secret, and everyone with the repository can read it: better a reference in secrets."
}

var secretName = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY)$`)

func lines(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(one string) bool { return one == "" }), "\n")
}

// addOns maps the databases among the add-ons: previews get throwaway ones,
// other environments refer to one that is there.
func (h *heroku) addOns() {
	review := h.app.at("environments").at("review").at("addons")
	for _, n := range h.app.at("addons").items() {
		h.addOn(n, true, review == nil)
	}
	for _, n := range review.items() {
		h.addOn(n, false, true)
	}
}

// addOn maps one add-on, for environments that last, for previews, or both.
func (h *heroku) addOn(n *node, lasting, previews bool) {
	plan := n
	if n.kind == mapping {
		plan = n.at("plan")
	}
	text, ok := plan.string()
	if !ok {
		if plan == nil {
			n.leave("want an add-on and its plan")
		}
		return
	}
	words := strings.Fields(text + " -")
	service, _, _ := strings.Cut(words[0], ":")
	kind, variable := kindOf(service)
	switch {
	case kind == "" && service == "scheduler":
		n.leave("keeps its jobs in a dashboard: make each a service of type job with a schedule")
		return
	case kind == "":
		n.leave("is not provisioned: order it where you like, and refer to its credentials in secrets")
		return
	}
	name, _ := n.at("as").string()
	if name != "" {
		variable = strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_URL"
	}
	if e := h.env.byName[variable]; e != nil || !isVariable(variable) {
		n.leave("is not provisioned: env has a value for %s", variable)
		return
	}
	wanted := spec.Database{Name: label(name), Type: kind, Version: version(words, n.at("options").at("version")), Env: variable}
	if previews && !h.database(n, wanted) {
		return
	}
	if !previews {
		n.at("options").leave("previews have the add-ons of environments.review")
	}
	if !lasting {
		plan.note("previews get a throwaway %s, without its plan", kind)
		return
	}
	if h.secrets.byName[variable] == nil {
		h.secret(&h.secrets, variable, n.place)
	}
	plan.note("previews get a throwaway %s, without its plan; elsewhere none is provisioned: %s", kind, h.makeSecret(variable))
}

// database gives previews a database; false if its variable has one already.
func (h *heroku) database(n *node, wanted spec.Database) bool {
	for _, e := range h.databases.entries {
		if below, ok := e.value.(*level); ok && below.byName["env"].value == wanted.Env {
			n.leave("is the second one for %s: give it a variable of its own with as", wanted.Env)
			return false
		}
	}
	d := h.databases.sub(h.databases.free(cmp.Or(wanted.Name, wanted.Type)), n.place)
	d.set("type", wanted.Type, n.place)
	if wanted.Version != "" {
		d.set("version", wanted.Version, n.place)
	}
	d.set("env", wanted.Env, n.place)
	return true
}

// kindOf returns what an add-on is and which variable has its URL.
func kindOf(service string) (kind, variable string) {
	switch service {
	case "heroku-postgresql":
		return "postgres", "DATABASE_URL"
	case "heroku-redis":
		return "redis", "REDIS_URL"
	case "rediscloud", "redistogo", "openredis":
		return "redis", strings.ToUpper(service) + "_URL"
	}
	return "", ""
}

// version returns the version that an add-on is to have: an option in its text
// (--version=15), or beside it.
func version(words []string, beside *node) string {
	shape := regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)
	text, said := beside.string()
	if said && !shape.MatchString(text) {
		beside.leave("want a version such as 17")
	}
	for i, word := range words {
		if value, ok := strings.CutPrefix(word, "--version"); ok {
			text = cmp.Or(strings.TrimPrefix(value, "="), words[min(i+1, len(words)-1)])
		}
	}
	if !shape.MatchString(text) {
		return ""
	}
	return text
}

// scripts maps what runs around the life of an app; previews have those of
// environments.review.
func (h *heroku) scripts() {
	own, review := h.app.at("scripts"), h.app.at("environments").at("review").at("scripts")
	own.entries()
	review.entries()
	for _, script := range []struct {
		name string
		task *level
	}{{"postdeploy", &h.seed}, {"pr-predestroy", &h.teardown}} {
		n := own.at(script.name)
		if other := review.at(script.name); other != nil {
			n.leave("previews run the one of environments.review; elsewhere run this one by hand, once")
			n = other
		}
		h.script(n, script.task)
	}
	for _, n := range []*node{own, review} {
		n.leaveAll(map[string]string{
			"pr-predeploy": "predeploy runs before every release, previews too: say it there if the release process does not do it",
			"test":         "tests are run by the workflow",
			"test-setup":   "tests are run by the workflow",
		})
	}
}

// seedComment says what is different about a seed.
const seedComment = "Runs once in every preview; elsewhere run it by hand, once."

// script makes a task of a script: a command, or a command and its size.
func (h *heroku) script(n *node, task *level) {
	run, size := n, (*node)(nil)
	if n != nil && n.kind == mapping {
		run, size = n.at("command"), n.at("size")
	}
	command, ok := run.string()
	if !ok {
		return
	}
	e := task.set("run", command, n.place)
	if task == &h.seed {
		e.above = seedComment
	}
	text, _ := size.string()
	if text = strings.ToLower(text); !isSize(text) {
		size.leave("is no size of a dyno that Inhaul knows, so it has %s here", dyno)
		text = dyno
	}
	task.set("size", text, n.place)
}

// reviews maps what environments says of review apps, which are previews here.
func (h *heroku) reviews() {
	n := h.app.at("environments")
	review := n.at("review")
	if variables := review.at("env"); variables != nil {
		env, secrets := &level{}, &level{}
		h.environment(variables, env, secrets)
		if len(env.entries) > 0 {
			h.preview.set("env", env, variables.place)
		}
		if len(secrets.entries) > 0 {
			h.preview.set("secrets", secrets, variables.place)
		}
	}
	review.leaveAll(map[string]string{
		"formation":  "say it below environments.preview.services",
		"buildpacks": "every environment has the same image",
		"stack":      "every environment has the same image",
	})
	n.at("test").leave("tests are run by the workflow")
	for _, other := range n.entries() {
		if other != review && other.use == unused {
			other.leave("Heroku knows review and test; say it below environments")
		}
	}
}
