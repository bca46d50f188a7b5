/// The one style sheet of all pages.
enum StyleSheet {
    static let text = """
        :root { color-scheme: light dark; --ground: #f6f7f8; --paper: #ffffff; --ink: #1c2226; --quiet: #5b666e; --line: #d9dee2; --accent: #1f5f8b;
          --accent-ink: #ffffff; --warn: #8a4b00; --warn-ground: #fff4e0; --bad: #9b1c1c; --bad-ground: #fdecec; --good-ground: #e8f4ea; --unread: #eef5fb; }
        @media (prefers-color-scheme: dark) { :root { --ground: #14181b; --paper: #1c2226; --ink: #e6eaec; --quiet: #9aa6ae; --line: #333c42;
          --accent: #7db8e0; --accent-ink: #10202c; --warn: #f0b35c; --warn-ground: #362a14; --bad: #f19a9a; --bad-ground: #3a1c1c; --good-ground: #1c3322; --unread: #202c35; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
        a { color: var(--accent); text-decoration: none; }
        a:hover, a:focus { text-decoration: underline; }
        :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
        header.top { display: flex; gap: .75rem 1rem; align-items: center; flex-wrap: wrap; padding: .6rem 1rem; background: var(--paper); border-bottom: 1px solid var(--line); }
        header.top .brand { font-weight: 650; }
        header.top .who { margin-left: auto; color: var(--quiet); overflow-wrap: anywhere; }
        .frame { display: grid; grid-template-columns: 13rem minmax(0, 1fr); gap: 1.25rem; max-width: 76rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
        nav ul { list-style: none; margin: 0; padding: 0; }
        nav a { display: flex; justify-content: space-between; gap: .5rem; padding: .35rem .6rem; border-radius: .4rem; color: var(--ink); overflow-wrap: anywhere; }
        nav a[aria-current] { background: var(--paper); box-shadow: inset 3px 0 0 var(--accent); font-weight: 600; }
        nav .count { color: var(--accent); font-weight: 600; }
        main { min-width: 0; }
        main.narrow { max-width: 26rem; margin: 8vh auto 2rem; padding: 0 1rem; }
        main.middle { max-width: 46rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
        .card { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.25rem; }
        h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .8rem; overflow-wrap: anywhere; }
        .toolbar { display: flex; gap: .5rem; flex-wrap: wrap; align-items: center; margin-bottom: .9rem; }
        .toolbar form { margin: 0; }
        .toolbar .right { margin-left: auto; }
        button, .button { display: inline-block; font: inherit; padding: .4rem .9rem; border-radius: .45rem; border: 1px solid var(--line); background: var(--paper); color: var(--ink); cursor: pointer; }
        button:hover, .button:hover { border-color: var(--accent); text-decoration: none; }
        button.main, .button.main { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
        header.top form { margin: 0; }
        label { display: block; margin: .8rem 0 .25rem; font-weight: 600; }
        input[type=text], input[type=password], input[type=email], input[type=search], textarea { width: 100%; font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: .45rem; padding: .5rem .65rem; }
        textarea { min-height: 18rem; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .95rem; resize: vertical; }
        .search { display: flex; gap: .4rem; }
        .search input { width: 14rem; max-width: 60vw; padding: .4rem .65rem; }
        .hint { color: var(--quiet); font-size: .9rem; }
        .notice { border-radius: .5rem; padding: .6rem .9rem; margin: 0 0 .9rem; background: var(--good-ground); }
        .notice.warn { background: var(--warn-ground); color: var(--warn); }
        .notice.bad { background: var(--bad-ground); color: var(--bad); }
        ol.messages { list-style: none; margin: 0; padding: 0; background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
        ol.messages li + li { border-top: 1px solid var(--line); }
        ol.messages a { display: grid; grid-template-columns: 15rem minmax(0, 1fr) auto; gap: 0 1rem; padding: .55rem .9rem; color: inherit; }
        ol.messages a:hover { background: var(--unread); text-decoration: none; }
        ol.messages .from, ol.messages .subject { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
        ol.messages .address { display: block; color: var(--quiet); font-size: .85rem; font-weight: 400; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
        ol.messages time { color: var(--quiet); font-size: .9rem; white-space: nowrap; }
        li.unread { background: var(--unread); }
        li.unread .from, li.unread .subject { font-weight: 650; }
        .tag { display: inline-block; font-size: .75rem; font-weight: 600; line-height: 1.3; padding: .05rem .4rem; border-radius: .3rem; border: 1px solid currentColor; color: var(--warn); vertical-align: middle; }
        .pages { display: flex; justify-content: space-between; margin-top: .8rem; }
        dl.fields { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .9rem; margin: 0 0 1rem; }
        dl.fields dt { color: var(--quiet); }
        dl.fields dd { margin: 0; overflow-wrap: anywhere; }
        .body { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; border-top: 1px solid var(--line); padding-top: 1rem; margin-top: .5rem; }
        ul.files { list-style: none; padding: .8rem 0 0; margin: 1rem 0 0; border-top: 1px solid var(--line); }
        ul.files li { padding: .2rem 0; overflow-wrap: anywhere; }
        .mark { display: flex; gap: .7rem; align-items: center; margin: 0 0 .9rem; }
        .mark img { border-radius: 50%; background: #ffffff; border: 1px solid var(--line); }
        .empty { padding: 2.5rem 1rem; text-align: center; color: var(--quiet); background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; }
        @media (max-width: 46rem) {
          .frame { display: block; padding-top: .8rem; }
          nav { margin-bottom: .9rem; overflow-x: auto; scrollbar-width: thin; }
          nav ul { display: flex; gap: .25rem; }
          nav a { white-space: nowrap; }
          nav a[aria-current] { box-shadow: inset 0 -3px 0 var(--accent); }
          ol.messages a { grid-template-columns: minmax(0, 1fr) auto; }
          ol.messages .subject { grid-column: 1 / -1; grid-row: 2; }
          dl.fields { grid-template-columns: minmax(0, 1fr); gap: 0; }
          dl.fields dd { margin-bottom: .4rem; }
          header.top { gap: .3rem .6rem; }
          header.top form { margin-left: auto; }
          header.top .button, header.top button { padding: .25rem .6rem; }
          header.top .who { order: 9; width: 100%; margin: 0; font-size: .9rem; }
          .toolbar .right { margin-left: 0; }
        }
        """
}
