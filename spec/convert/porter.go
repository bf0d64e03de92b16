package convert

import (
	"cmp"
	"math"
	"path"
	"strconv"
	"strings"
)

// porter converts a porter.yaml of porter.run, version 2.
// https://docs.porter.run/applications/configuration-as-code/reference
func (c *conversion) porter() []*draft {
	root := c.open(porterFile)
	if root == nil || c.foreignPorter(root) {
		return nil
	}
	root.refuseCredentials()
	all := []*node{root}
	several := root.at("apps")
	if several != nil {
		all = several.items()
		for _, n := range root.children {
			switch n.name {
			case "version", "apps":
			case "addons":
				n.leave("say databases: below the app that has them")
			default:
				n.leave("has no effect beside apps: say it below each of them")
			}
		}
	}
	var drafts []*draft
	names := &level{}
	for _, n := range all {
		p := &porter{conversion: c, draft: &draft{}, ports: map[string]bool{}}
		from := n.place
		p.appName(c, n.at("name"), from)
		if free := names.free(p.name); free != p.name {
			n.note("another app is called %s here, so this one is %s", p.name, free)
			p.name = free
		}
		names.set(p.name, "", from)
		p.convert(n)
		if len(p.services.entries) == 0 && len(c.errs) == 0 {
			c.fail(from, "the app has no service: want services with at least one name and type")
		}
		drafts = append(drafts, p.draft)
	}
	if len(drafts) == 0 && len(c.errs) == 0 {
		c.fail(several.place, "want a list of apps")
	}
	return drafts
}

// foreignPorter reports, as a mistake, a file that is not version 2 of
// porter.run: the name is shared with Porter of the CNAB, an installer.
func (c *conversion) foreignPorter(root *node) bool {
	for _, key := range []string{"mixins", "schemaType", "schemaVersion", "install"} {
		if n := root.at(key); n != nil {
			c.fail(n.place, "%s: this porter.yaml is a bundle of Porter for CNAB (porter.sh), another product than porter.run: it says nothing about an app; write an inhaul.yaml", key)
			return true
		}
	}
	version := root.at("version")
	text, _ := version.string()
	modern := root.at("services") != nil && root.at("services").kind == list || root.at("apps") != nil && root.at("apps").kind == list
	switch {
	case text == "v2" || version == nil && modern:
		return false
	case version == nil:
		c.fail(root.place, "want version: v2 of porter.run; `porter app yaml` writes it for an app that is there")
	default:
		c.fail(version.place, "version: want v2 of porter.run, got %q; `porter app yaml` writes it for an app that is there", text)
	}
	return true
}

// porter is the conversion of one app of a porter.yaml.
type porter struct {
	*conversion
	*draft
	ports map[string]bool // of its services, as they are written
}

func (p *porter) convert(n *node) {
	if version, ok := n.at("version").string(); ok && version != "v2" {
		p.fail(n.at("version").place, "version: want v2, got %q", version)
	}
	p.builds(n)
	for _, s := range n.at("services").items() {
		if port := s.at("port"); port != nil {
			p.ports[port.text] = true
		}
	}
	p.environment(n.at("env"), &p.env)
	p.task(n.at("predeploy"), &p.predeploy)
	if initial := n.at("initialDeploy"); initial != nil {
		p.task(initial, &p.seed)
		if len(p.seed.entries) > 0 {
			p.seed.byName["run"].above = seedComment
			initial.note("is the seed, which runs once in every preview; elsewhere run it by hand, once")
		}
	}
	for _, s := range n.at("services").items() {
		p.service(s)
	}
	for _, addon := range n.at("addons").items() {
		p.addOn(addon)
	}
	for _, addon := range n.at("previews").at("addons").items() {
		p.addOn(addon)
	}
	if variables := n.at("previews").at("env"); variables != nil {
		env := &level{}
		p.environment(variables, env)
		if len(env.entries) > 0 {
			p.preview.set("env", env, variables.place)
		}
	}
	for _, group := range n.at("envGroups").items() {
		group.leave("is kept by Porter: put its variables into env, and its secrets into a Secret of every environment's namespace that secrets refers to (k8s://%s#NAME)", p.name)
	}
	if on, ok := n.at("autoRollback").at("enabled").flag(); ok && !on { // on is what inhaul.yaml means without a word
		p.whole.set("autoRollback", false, n.at("autoRollback").at("enabled").place)
	}
	n.leaveAll(porterReasons())
	n.at("previews").leaveAll(map[string]string{
		"name": "previews are named after their pull requests", "version": "the file has one version",
		"services": "say what differs below environments.preview.services", "predeploy": "say environments.preview.predeploy",
		"build": "every environment has the same image", "image": "every environment has the same image",
	})
}

// porterReasons says why keys of an app have no place in inhaul.yaml.
func porterReasons() map[string]string {
	return map[string]string{
		"image":              "an image that is built elsewhere is given to the Action as its input image",
		"deploymentStrategy": "new pods are ready before old ones go, always",
		"efsStorage":         "make a PersistentVolumeClaim in the namespace of every environment and name it in volumes",
		"requiredApps":       "every app is deployed by itself; allowFrom lets others connect to it",
	}
}

// builds says how the image is built.
func (p *porter) builds(n *node) {
	build := n.at("build")
	build.entries()
	method, _ := build.at("method").string()
	context, hasContext := build.at("context").string()
	switch {
	case method == "pack":
		p.build.set("method", "buildpacks", build.at("method").place)
	case build == nil && n.at("image") == nil && !p.exists(dockerfile):
		p.build.set("method", "buildpacks", n.place).after = "there is no Dockerfile"
	case method == "registry":
		build.at("method").leave("an image that is built elsewhere is given to the Action as its input image")
	case method != "" && method != "docker":
		build.at("method").leave("want docker or pack, got %q: the Dockerfile is built", method)
	}
	if hasContext && path.Clean(context) != "." {
		p.build.set("context", path.Clean(context), build.at("context").place)
	}
	if method == "pack" {
		if builder, ok := build.at("builder").string(); ok {
			p.build.set("builder", builder, build.at("builder").place)
		}
		var names []string
		for _, item := range build.at("buildpacks").items() {
			if name, ok := item.string(); ok {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			p.build.set("buildpacks", names, build.at("buildpacks").place)
		}
		build.at("dockerfile").leave("buildpacks build the image")
		return
	}
	p.dockerfile(build.at("dockerfile"), context)
	for _, key := range []string{"builder", "buildpacks"} {
		build.at(key).leave("a Dockerfile builds the image")
	}
}

// dockerfile says where the Dockerfile is: for Porter below the repository's
// root, here below the context.
func (p *porter) dockerfile(n *node, context string) {
	text, ok := n.string()
	if !ok {
		return
	}
	file, context := path.Clean(text), path.Clean(context)
	below, inside := strings.CutPrefix(file, context+"/")
	switch {
	case context == ".":
		below = file
	case inside: // as Porter reads it
	case p.exists(file) && !p.exists(path.Join(context, file)) || strings.HasPrefix(file, "../") || path.IsAbs(file):
		n.leave("is outside of the build's context %s: move it there", context)
		return
	default:
		below = file
	}
	if below != dockerfile {
		p.build.set("dockerfile", below, n.place)
	}
}

// environment maps variables, a map of them or a list.
func (p *porter) environment(n *node, env *level) {
	if n == nil {
		return
	}
	if n.kind != list {
		for _, v := range n.entries() {
			p.variable(v, v.name, v, env)
		}
		return
	}
	for _, item := range n.items() {
		name, ok := item.at("key").string()
		if !ok {
			item.leave("want a key and a value")
			continue
		}
		if from := item.at("from"); from != nil {
			item.leave("gets its value from %s: say the value in env", cmp.Or(from.at("name").textOnly(), "another app"))
			continue
		}
		p.variable(item, name, item.at("value"), env)
	}
}

// variable maps one variable that stands at n.
func (p *porter) variable(n *node, name string, value *node, env *level) {
	switch {
	case name == "PORT" && p.ports[value.textOnly()]:
		n.leave("Inhaul sets PORT to the port of the web service")
	case name == "PORT":
		n.leave("Inhaul sets PORT to the port of the web service: say port: there")
	case !isVariable(name):
		n.leave("is no name of an environment variable: want letters, digits and _, no digit first")
	case value == nil || value.kind == nothing:
		n.leave("has no value")
	default:
		if text, ok := value.string(); ok {
			env.set(name, text, n.place).above = suspicious(name, text)
		}
	}
}

// task maps a job that runs around a release.
func (p *porter) task(n *node, task *level) {
	n.entries() // names it if it has no keys
	run := n.at("run")
	command, ok := run.string()
	if !ok || command == "" {
		if n != nil && n.use == unused {
			n.leave("has no command to run")
		}
		return
	}
	task.set("run", command, run.place)
	p.resources(n, task)
	if seconds, ok := n.at("timeoutSeconds").whole(); ok && seconds > 0 {
		task.set("timeout", duration(seconds), n.at("timeoutSeconds").place)
	}
	if kind, ok := n.at("type").string(); ok && kind != "job" {
		n.at("type").leave("it is a job always")
	}
	n.leaveAll(map[string]string{
		"name": "it has no name of its own", "instances": "it runs once", "cron": "it runs around a release, not on a schedule",
	})
}

// resources maps CPU and memory; 0 stands for what is not said.
func (p *porter) resources(n *node, to *level) {
	cpu := n.at("cpuCores")
	if text, ok := cpu.string(); ok {
		cores, err := strconv.ParseFloat(text, 64)
		milli := math.Ceil(cores * 1000)
		switch {
		case err != nil || math.IsNaN(cores) || cores < 0 || cores > math.MaxInt32:
			cpu.leave("want a number of CPUs, got %q", text)
		case milli > 0 && math.Mod(milli, 1000) == 0:
			to.set("cpu", strconv.Itoa(int(milli)/1000), cpu.place)
		case milli > 0:
			to.set("cpu", strconv.Itoa(int(milli))+"m", cpu.place)
		}
	}
	if megabytes, ok := n.at("ramMegabytes").whole(); ok && megabytes > 0 {
		to.set("memory", strconv.Itoa(megabytes)+"Mi", n.at("ramMegabytes").place)
	}
}

// addOn maps a database, which previews get.
func (p *porter) addOn(n *node) {
	kind := n.at("type").textOnly()
	variable := map[string]string{"postgres": "DATABASE_URL", "redis": "REDIS_URL"}[kind]
	if variable == "" {
		n.leave("is not provisioned: run it where you like, and refer to its credentials in secrets")
		return
	}
	n.at("type").take()
	text, _ := n.at("name").string()
	name := p.databases.free(cmp.Or(label(text), kind))
	for _, e := range p.databases.entries {
		if below, ok := e.value.(*level); ok && below.byName["env"].value == variable {
			variable = strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_URL"
		}
	}
	if p.env.byName[variable] != nil {
		n.leave("is not provisioned: env has a value for %s", variable)
		return
	}
	d := p.databases.sub(name, n.place)
	d.set("type", kind, n.place)
	d.set("env", variable, n.place)
	n.note("previews get a throwaway %s, whose URL is in %s (Porter has a variable for each part of it); elsewhere none is provisioned: refer to one in secrets", kind, variable)
	n.leaveAll(map[string]string{
		"kind": "previews have it inside the cluster", "config": "the database of a preview has a size of its own",
		"cpuCores": "the database of a preview has a size of its own", "ramMegabytes": "the database of a preview has a size of its own",
		"storageGigabytes": "the database of a preview has a size of its own", "envGroups": "the URL is in " + variable,
	})
}

// duration returns seconds as inhaul.yaml has them.
func duration(seconds int) string { return strconv.Itoa(seconds) + "s" }
