package convert

import (
	"cmp"
	"path"
	"strings"
)

// heroku is the conversion of an app.json and a Procfile.
type heroku struct {
	*conversion
	*draft
	app   *node  // root of app.json, or nil
	procs string // the Procfile that counts; empty if there is none
}

// dyno is the size of a process whose formation says none: half a gigabyte is
// what Heroku's smallest have.
const dyno = "standard-1x"

// isSize reports whether name is the size of a dyno that inhaul.yaml knows.
func isSize(name string) bool {
	switch name {
	case "eco", "basic", "free", "hobby", "standard-1x", "1x", "standard-2x", "2x", "private-s", "shield-s",
		"performance-m", "private-m", "shield-m", "performance-l", "private-l", "shield-l",
		"performance-l-ram", "private-l-ram", "performance-xl", "performance-2xl":
		return true
	}
	return false
}

// heroku converts a Procfile and an app.json, of which one may be missing.
func (c *conversion) heroku() []*draft {
	h := &heroku{conversion: c, draft: &draft{}}
	start := place{procfile, 1, 1}
	if c.exists(appFile) {
		if h.app = c.open(appFile); h.app == nil {
			return nil
		}
		h.app.refuseCredentials("description", "keywords", "website", "repository", "logo", "success_url")
		start = h.app.place
		if h.foreign() {
			return nil
		}
	}
	h.findProcfile()
	var processes []process
	if h.procs != "" {
		processes = c.processes(h.procs, 1)
		start = place{h.procs, 1, 1}
		if len(processes) == 0 && len(c.errs) == 0 {
			c.fail(start, "the file names no process: want a line such as web: COMMAND")
			return nil
		}
	}
	h.appName(c, h.app.at("name"), start)
	h.builds(start)
	h.environment(h.app.at("env"), &h.env, &h.secrets)
	h.processServices(processes, start)
	h.addOns()
	h.scripts()
	h.reviews()
	if h.app != nil {
		h.app.leaveAll(herokuReasons())
	}
	return []*draft{h.draft}
}

// herokuReasons says why keys of app.json have no place in inhaul.yaml.
func herokuReasons() map[string]string {
	const describes = "describes the app to people; has no effect on a deploy"
	return map[string]string{
		"$schema":     describes,
		"description": describes,
		"keywords":    describes,
		"logo":        describes,
		"repository":  describes,
		"website":     describes,
		"success_url": "is where a browser goes after Heroku Button made an app; has no effect on a deploy",
		"stack":       "build.builder chooses what Heroku calls the stack; without it the newest builder of Heroku is used",
		"image":       "names an image of Heroku's; what runs here is built from the repository",
	}
}

// foreign reports, as a mistake, that the app.json alone is not Heroku's.
func (h *heroku) foreign() bool {
	if h.exists(procfile) {
		return false
	}
	for _, key := range []string{"formation", "addons", "buildpacks", "env", "scripts", "stack", "environments"} {
		if h.app.at(key) != nil {
			return false
		}
	}
	h.fail(h.app.place, "nothing to convert: it has none of the keys of Heroku's app.json and there is no Procfile; write an inhaul.yaml")
	return true
}

// findProcfile says which Procfile counts: a buildpack of Heroku's lets
// PROCFILE_PATH name another one.
func (h *heroku) findProcfile() {
	if h.exists(procfile) {
		h.procs = procfile
	}
	n := h.app.at("env").at("PROCFILE_PATH")
	value := n
	if n != nil && n.kind == mapping {
		value = n.at("value")
	}
	text, ok := value.string()
	if !ok {
		return
	}
	n.at("description").leave("describes a variable that is not in env here")
	switch file := path.Clean(text); {
	case !h.exists(file):
		n.leave("names a file that is not here, so the Procfile beside app.json counts")
	case file != procfile:
		if h.procs != "" {
			h.say(place{procfile, 1, 1}, "", "the file was not read, because PROCFILE_PATH in app.json names %s", file)
		}
		h.procs = file
	}
}

// processServices makes a service of every process, and of the release phase
// what runs before a release.
func (h *heroku) processServices(processes []process, start place) {
	formation := h.app.at("formation")
	formation.entries() // names it if it has no keys
	for _, p := range processes {
		if p.name == "release" && p.parent == "" {
			h.predeploy.set("run", p.command, p.place)
			h.predeploy.set("size", dyno, p.place)
			continue
		}
		h.service(p, formation.at(cmp.Or(p.parent, p.name)))
	}
	if len(h.services.entries) == 0 {
		web := h.services.sub("web", start)
		web.set("type", "web", start).above = "No process is named that keeps running, so the image's own command serves."
		h.say(start, "web", "no process is named that keeps running: the image's own command serves as web")
		h.scale(web, formation.at("web"), process{name: "web", place: start})
	}
	for _, n := range formation.entries() {
		if n.untouched() {
			n.leave("there is no such process")
		}
	}
}

// service makes a service of a process. Those that one process starts share
// its formation.
func (h *heroku) service(p process, formation *node) {
	name := cmp.Or(label(p.name), "process")
	if h.services.byName[name] != nil && p.parent != "" {
		name = label(p.parent + "-" + p.name)
	}
	name = h.services.free(name)
	if name != p.name {
		h.say(p.place, p.name, "a service has lower-case letters, digits and hyphens in its name, and no other's: it is %s here", name)
	}
	s := h.services.sub(name, p.place)
	started := formation.at("quantity")
	switch {
	case p.name == "web" && (p.parent == "" || p.serves):
		s.set("type", "web", p.place)
	case endsByItself(p.command) && (started == nil || started.text == "0"):
		s.set("type", "job", p.place).after = "it ends by itself, so it runs when somebody asks"
		h.say(p.place, p.name, "it seems to end by itself, so it is a job that runs when somebody asks")
	default:
		s.set("type", "worker", p.place)
	}
	s.set("run", p.command, p.place)
	h.scale(s, formation, p)
}

// scale says how many of a process run, and how large they are.
func (h *heroku) scale(s *level, formation *node, p process) {
	formation.entries() // names it if it has no keys
	quantity, said := formation.at("quantity").whole()
	switch {
	case s.byName["type"].value == "job": // has none; it was 0
	case said:
		s.set("replicas", quantity, formation.at("quantity").place)
	case cmp.Or(p.parent, p.name) != "web":
		s.set("replicas", 0, p.place).after = "Heroku starts none before somebody scales it: say how many"
		h.say(p.place, p.name, "no pod runs of it, as at Heroku before somebody scales it: say how many in replicas, or in formation of app.json")
	}
	size, said := formation.at("size").string()
	switch size = strings.ToLower(size); {
	case isSize(size):
		s.set("size", size, formation.at("size").place)
		return
	case said:
		formation.at("size").leave("is no size of a dyno that Inhaul knows, so it has %s here", dyno)
	}
	s.set("size", dyno, p.place)
}
