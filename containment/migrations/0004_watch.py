import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("containment", "0003_approvals"),
        ("cases", "0005_due_order"),
        ("identity", "0003_intake"),
    ]

    operations = [
        migrations.CreateModel(
            name="Watch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("principal", models.CharField(max_length=140)),
                ("credential", models.CharField(blank=True, max_length=140)),
                ("baseline", models.JSONField(default=dict)),
                ("found", models.JSONField(default=list)),
                ("unread", models.CharField(blank=True, max_length=300)),
                ("trail", models.CharField(blank=True, max_length=300)),
                ("since", models.DateTimeField(null=True)),
                ("looks", models.PositiveSmallIntegerField(default=0)),
                ("looked_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField(null=True)),
                ("action", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="watch", to="cases.action")),
            ],
            options={
                "indexes": [models.Index(condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="watch_due")],
            },
        ),
        migrations.CreateModel(
            name="CoverageChoice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=40)),
                ("target", models.CharField(max_length=300)),
                ("account", models.CharField(max_length=12)),
                ("is_required", models.BooleanField()),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
                ("by", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.person")),
                ("incident", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="coverage_choices", to="cases.incident")),
            ],
        ),
    ]
