"""Which races run, with how many branches, and when: admission, what a request becomes, and
giving branches back when others need the engine."""
