package configs

import "slices"

// allOf checks the parts of methods of type all.
func (l *loader) allOf(methods []string) {
	for i, m := range l.cfg.Authn {
		if m.Type != MethodAll || len(m.Of) == 0 {
			continue
		}
		path := key(item("authn", i), "of")
		if len(m.Of) == 1 {
			l.fail(path, "wants two methods or more")
		}
		for j, name := range m.Of {
			at := item(path, j)
			l.refer(at, "authn method", name, methods)
			part := slices.IndexFunc(l.cfg.Authn, func(m Method) bool { return m.Name == name })
			switch {
			case slices.Index(m.Of, name) < j:
				l.fail(at, "stands here again")
			case part < 0:
			case slices.Contains([]string{MethodAll, MethodAnonymous, MethodSCRAM}, l.cfg.Authn[part].Type):
				l.fail(at, "is of type %s, which cannot be part of another", l.cfg.Authn[part].Type)
			case l.cfg.Authn[part].In == "auth_data":
				l.fail(at, "has its token in auth_data, which cannot be part of another")
			}
		}
	}
}
