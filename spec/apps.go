package spec

// Parse reads inhaul.yaml strictly: every key is known, every value has its
// type and its bounds. It returns all mistakes at once, as Errors; name is what
// they call the file. A file of several apps is a mistake: see ParseAll.
func Parse(name string, data []byte) (*File, error) {
	p := newParser(name)
	files := p.parse(data)
	if len(files) > 1 && len(p.errs) == 0 {
		names := make([]string, len(files))
		for i, f := range files {
			names[i] = f.App
		}
		p.failMark("apps", "apps: the file has %d apps, which are %s, and one is wanted here", len(files), joined(names, "and"))
	}
	if len(p.errs) > 0 {
		p.errs.sort()
		return nil, p.errs
	}
	return files[0], nil
}

// ParseAll is Parse for a file of one app or of several, which are returned
// sorted by name.
func ParseAll(name string, data []byte) ([]*File, error) {
	p := newParser(name)
	files := p.parse(data)
	if len(p.errs) > 0 {
		p.errs.sort()
		return nil, p.errs
	}
	return files, nil
}

// rootLevel is a file that has one app.
func rootLevel() level[File] {
	l := fileLevel()
	return level[File]{"file", "", append([]key[File]{
		to("app", label(), func(f *File) *string { return &f.App }).needed().
			says("Name of the app.", "", "app: shop"),
	}, l.keys...)}
}

// appsKey is the only key of a file that has several apps.
func appsKey() key[map[string]File] {
	return each("apps", "app", fileLevel(), func(all *map[string]File) *map[string]File { return all }).
		says("Several apps in one file, by name; what an app says goes below its name, and nothing stands beside `apps`.", "", "apps: {billing: {services: {web: {type: web}}}}")
}

// parse returns the apps of a file, and records its mistakes.
func (p *parser) parse(data []byte) []*File {
	top := p.load(data)
	if top == nil {
		return nil
	}
	root := rootLevel()
	entries, ok := p.mapping(*top)
	if !ok {
		return nil
	}
	if p.marks["apps"] != nil {
		return p.parseApps(entries, root)
	}
	f := &File{Path: p.file}
	readEntries(p, *top, entries, root.keys, f)
	if !p.stopped {
		p.check("", f)
		f.lines = p.linesBelow("")
	}
	return []*File{f}
}

// parseApps returns the apps of a file whose entries have the key apps.
func (p *parser) parseApps(entries []entry, root level[File]) []*File {
	several := appsKey()
	names := []string{several.name}
	known := make(map[string]bool)
	for _, k := range root.keys {
		names, known[k.name] = append(names, k.name), true
	}
	all := make(map[string]File)
	for _, one := range entries {
		switch name := one.key.Value; {
		case name == several.name:
			several.read(p, one, &all)
		case known[name]:
			p.fail(one.key, "%s: not beside apps, but below the name of an app there", name)
		default:
			p.fail(one.key, "unknown key %s%s", quoted(name), didYouMean(name, names))
		}
	}
	var files []*File
	for _, name := range sortedKeys(all) {
		f := all[name]
		f.App, f.Path = name, p.file
		if !p.stopped {
			p.check(below("apps", name), &f)
			f.lines = p.linesBelow(below("apps", name))
		}
		files = append(files, &f)
	}
	return files
}
